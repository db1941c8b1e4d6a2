"""`EncoderDecoder`: a small transformer from one sequence of tokens to another.

After Vaswani et al., "Attention Is All You Need" (2017), with learned positions and layer norm
before each part.
"""

import torch
from torch import Tensor, nn


class EncoderDecoder(nn.Module):
    """Reads tokens (batch, length) and writes others, of at most `max_length` each.

    Token numbers are below `vocabulary_size`; `padding`, `begin` and `end` are three of them.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_size: int = 64,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.0,
        max_length: int = 64,
        special_tokens: tuple[int, int, int] = (0, 1, 2),  # padding, begin, end
    ) -> None:
        super().__init__()
        self._padding, self._begin, self._end = special_tokens
        self.max_length = max_length
        self.tokens = nn.Embedding(vocabulary_size, hidden_size)
        self.positions = nn.Embedding(max_length + 1, hidden_size)  # with begin or end
        sizes = {
            "d_model": hidden_size,
            "nhead": num_heads,
            "dim_feedforward": 2 * hidden_size,
            "dropout": dropout,
            "batch_first": True,
            "norm_first": True,
        }
        self.encoder = nn.ModuleList(nn.TransformerEncoderLayer(**sizes) for _ in range(num_layers))
        self.decoder = nn.ModuleList(nn.TransformerDecoderLayer(**sizes) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_size)
        self.head = nn.Linear(hidden_size, vocabulary_size)

    def forward(self, source: Tensor, written: Tensor) -> Tensor:
        """Return logits (batch, length of `written`, vocabulary) of the token after each written.

        `written` begins with the token `begin`; both are int64 and padded at the end.
        """
        is_padding = source == self._padding
        return self._decode(self._encode(source, is_padding), is_padding, written)

    @torch.no_grad()
    def generate(self, source: Tensor, max_length: int) -> Tensor:
        """Return the most probable tokens, one after the other: (batch, up to max_length) int64.

        After `end` comes padding; `begin` is left out.
        """
        is_padding = source == self._padding
        memory = self._encode(source, is_padding)
        written = torch.full((len(source), 1), self._begin, device=source.device)
        is_over = torch.zeros(len(source), dtype=torch.bool, device=source.device)
        for _ in range(min(max_length, self.max_length)):
            last = self._decode(memory, is_padding, written)[:, -1].argmax(dim=-1)
            last = last.masked_fill(is_over, self._padding)
            written = torch.cat([written, last[:, None]], dim=1)
            is_over |= last == self._end
            if bool(is_over.all()):
                break
        return written[:, 1:]

    def _encode(self, source: Tensor, is_padding: Tensor) -> Tensor:
        hidden = self._embedded(source)
        for layer in self.encoder:
            hidden = layer(hidden, src_key_padding_mask=is_padding)
        return hidden

    def _decode(self, memory: Tensor, is_padding: Tensor, written: Tensor) -> Tensor:
        hidden = self._embedded(written)
        length = written.shape[1]
        is_later = torch.ones(length, length, dtype=torch.bool, device=written.device).triu(1)
        for layer in self.decoder:
            hidden = layer(hidden, memory, tgt_mask=is_later, memory_key_padding_mask=is_padding)
        return self.head(self.norm(hidden))

    def _embedded(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        if length > self.max_length + 1:
            raise ValueError(
                f"a sequence of {length} tokens is longer than model.max_length={self.max_length}"
            )
        return self.tokens(tokens) + self.positions.weight[:length]
