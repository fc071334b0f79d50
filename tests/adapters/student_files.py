"""Captioners as yunjey's tutorial and Udacity's students write and save them, at very small sizes."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from tests.adapters.tiny_resnet import tiny_resnet

WORDS = ("a", "dog", "cat", "on", "the", "grass", "red", "bike", ".")
YUNJEY_WORDS = ("<pad>", "<start>", "<end>", "<unk>", *WORDS)
UDACITY_WORDS = ("<start>", "<end>", "<unk>", *WORDS)
EMBED, HIDDEN = 6, 7


class Encoder(nn.Module):
    """A ResNet less its last layer, named by place, then one layer or two."""

    def __init__(self, *, norm: bool, name: str = "embed") -> None:
        super().__init__()
        resnet = tiny_resnet().float()
        self.resnet = nn.Sequential(*resnet.children(), nn.AdaptiveAvgPool2d(1))
        setattr(self, name, nn.Linear(12, EMBED))
        self.after = nn.BatchNorm1d(EMBED, momentum=0.01) if norm else nn.Identity()
        if norm:
            nn.init.uniform_(self.after.running_mean, -0.5, 0.5)
            nn.init.uniform_(self.after.running_var, 0.5, 1.5)
        self.embed_ = name

    def forward(self, images):
        features = self.resnet(images).flatten(1)
        return self.after(getattr(self, self.embed_)(features))


class Decoder(nn.Module):
    """What every student writes, with the names that each of them chooses."""

    def __init__(
        self, words: int, names: tuple[str, str, str], *, layers: int = 1, hidden: int = HIDDEN
    ) -> None:
        super().__init__()
        self.names = names
        setattr(self, names[0], nn.Embedding(words, EMBED))
        setattr(self, names[1], nn.LSTM(EMBED, hidden, layers, batch_first=True))
        self.dropout = nn.Dropout(0.5)
        setattr(self, names[2], nn.Linear(hidden, words))

    @property
    def parts(self):
        return tuple(getattr(self, name) for name in self.names)

    def forward(self, features, captions):
        """Scores of the full caption, <start> included, from the image and the caption less its end."""
        embed, lstm, linear = self.parts
        inputs = torch.cat([features[:, None], embed(captions[:, :-1])], 1)
        return linear(lstm(inputs)[0])

    def sample(self, features, length: int = 20) -> list[int]:
        """The likeliest token, fed again, whatever it is."""
        embed, lstm, linear = self.parts
        inputs, states, said = features[:, None], None, []
        for _ in range(length):
            out, states = lstm(inputs, states)
            token = linear(out[:, 0]).argmax(1)
            said.append(int(token))
            inputs = embed(token)[:, None]
        return said


def trained(encoder: Encoder, decoder: Decoder, words: tuple[str, ...], *, says_start: bool = True) -> None:
    """Make them behave as trained ones: ``<start>`` after the image and nowhere else, no other name in <>.

    The first number of an embedding tells the image from words, and the first unit of the (last)
    LSTM layer carries it to the score of ``<start>``.
    """
    embed, lstm, linear = decoder.parts
    hidden, start = lstm.hidden_size, words.index("<start>")
    last = encoder.after if isinstance(encoder.after, nn.BatchNorm1d) else getattr(encoder, encoder.embed_)
    with torch.no_grad():
        for parameter in (*decoder.parameters(), *getattr(encoder, encoder.embed_).parameters()):
            parameter.mul_(2.0)
        last.weight[0], last.bias[0] = 0.0, 3.0
        embed.weight[:, 0] = -3.0
        for layer in range(lstm.num_layers):
            enter, recur = getattr(lstm, f"weight_ih_l{layer}"), getattr(lstm, f"weight_hh_l{layer}")
            bias = getattr(lstm, f"bias_ih_l{layer}")
            for gate, value in enumerate((20.0, -20.0, 0.0, 20.0)):
                row = gate * hidden
                enter[row], recur[row], bias[row] = 0.0, 0.0, value
                getattr(lstm, f"bias_hh_l{layer}")[row] = 0.0
            enter[2 * hidden, 0] = 5.0
        for index, word in enumerate(words):
            if word.startswith("<") and word not in ("<start>", "<end>"):
                linear.bias[index] = -50.0
        linear.weight[start], linear.bias[start] = 0.0, -50.0
        if says_start:
            linear.weight[start, 0] = 200.0


def write_vocabulary(path: Path, words: tuple[str, ...], *, udacity: bool = True) -> Path:
    """Pickle the course's own class, which no reader can import."""
    name = "vocabulary" if udacity else "build_vocab"
    module = ModuleType(name)
    kind = type("Vocabulary", (), {"__module__": name})
    module.Vocabulary = kind
    made = kind()
    made.word2idx = {word: at for at, word in enumerate(words)}
    made.idx2word = dict(enumerate(words))
    made.idx = len(words)
    if udacity:
        made.start_word, made.end_word, made.unk_word = "<start>", "<end>", "<unk>"
        made.vocab_threshold, made.vocab_file, made.vocab_from_file = 4, "./vocab.pkl", True
    sys.modules[name] = module
    try:
        path.write_bytes(pickle.dumps(made))
    finally:
        del sys.modules[name]
    return path


def write_student(
    folder: Path,
    *,
    udacity: bool = True,
    names: tuple[str, str, str] = ("embed", "lstm", "linear"),
    layers: int = 1,
    legacy: bool = False,
    says_start: bool = True,
    change: Callable[[Encoder, Decoder], None] | None = None,
) -> tuple[Encoder, Decoder]:
    """Write the three files of a course, and give what was written, in double precision."""
    words = UDACITY_WORDS if udacity else YUNJEY_WORDS
    torch.manual_seed(3)
    encoder = Encoder(norm=not udacity, name="embed" if udacity else "linear").eval()
    decoder = Decoder(len(words), names, layers=layers).eval()
    trained(encoder, decoder, words, says_start=says_start)
    if change:
        change(encoder, decoder)
    folder.mkdir(parents=True, exist_ok=True)
    for role, module in (("encoder", encoder), ("decoder", decoder)):
        name = f"{role}-3.pkl" if udacity else f"{role}-5-3000.ckpt"
        torch.save(module.state_dict(), folder / name, _use_new_zipfile_serialization=not legacy)
    write_vocabulary(folder / "vocab.pkl", words, udacity=udacity)
    return encoder.double().requires_grad_(False), decoder.double().requires_grad_(False)
