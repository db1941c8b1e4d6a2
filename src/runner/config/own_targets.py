"""What of runner a config may name that comes from elsewhere: the parts made to be configured.

Not all of runner: some of its functions start processes, delete folders or unpickle. A name is
compared as it stands; nothing is imported.
"""

PREPROCESSORS = frozenset(
    {"runner.data.characters.Characters", "runner.data.pictures.Preprocessor"}
)

OWN_TARGETS = PREPROCESSORS | {
    "runner.build.trained.model.trained_model",
    "runner.data.character_text.character_text",
    "runner.data.curriculum.Curriculum",
    "runner.data.digits.digits",
    "runner.data.ocr_folder.ocr_folder",
    "runner.data.ocr_hub.ocr_hub",
    "runner.data.opinions.opinions",
    "runner.data.plate_augmentation.PlateAugmentation",
    "runner.data.plates.synthetic.plates_synthetic",
    "runner.data.plates_mixed.plates_mixed",
    "runner.data.random_regression.random_regression",
    "runner.data.string_pairs.string_pairs",
    "runner.models.convnet.ConvNet",
    "runner.models.crnn.CRNN",
    "runner.models.encoder_decoder.EncoderDecoder",
    "runner.models.gan.GAN",
    "runner.models.mlp.MLP",
    "runner.models.vae.VAE",
    "runner.optim.schedules.constant_with_warmup",
    "runner.optim.schedules.cosine_with_warmup",
    "runner.optim.schedules.inverse_square_root",
    "runner.optim.schedules.linear_with_warmup",
    "runner.optim.schedules.polynomial_with_warmup",
    "runner.tasks.adversarial.Adversarial",
    "runner.tasks.autoencoder.Autoencoder",
    "runner.tasks.classification.Classification",
    "runner.tasks.ctc.CTC",
    "runner.tasks.distillation.Distillation",
    "runner.tasks.huggingface.HuggingFace",
    "runner.tasks.regression.Regression",
    "runner.tasks.sequence_to_sequence.SequenceToSequence",
    "runner.tasks.supervised.Supervised",
}
