from runner.reports.yaml_keys import keys_of_lines

TEXT = """\
data:
  root: null
  text: 'a: b'
  list:
  - _target_: x.Y
    size: 3
  - plain
model:
  _target_: x.Y
  block: |-
    some: text
'odd key': 1"""


def test_each_line_belongs_to_its_key() -> None:
    assert keys_of_lines(TEXT.splitlines()) == [
        "data",
        "data.root",
        "data.text",
        "data.list",
        "data.list._target_",
        "data.list.size",
        "data.list",
        "model",
        "model._target_",
        "model.block",
        "model.block.some",
        "odd key",
    ]
