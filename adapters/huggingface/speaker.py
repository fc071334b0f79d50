"""Models of transformers that write text about an image: captioners, generative VQA, chat models."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.adapters.huggingface.families import (
    Family,
    end_tokens,
    start_token,
    vision_encoder,
    vocabulary_layer,
)
from vlx.adapters.huggingface.frames import Layout
from vlx.adapters.huggingface.grids import grid_of, need_places, tokens_in_front
from vlx.adapters.huggingface.inputs import (
    Layouts,
    collated,
    encoded,
    first_alone,
    moved,
    of_item,
    packed,
    repeated,
    rows_of_text,
    unpacked,
)
from vlx.adapters.huggingface.items import Item, rows_of
from vlx.adapters.huggingface.lens import given_to, lens_of
from vlx.adapters.huggingface.order import need_whole_images, raster_order
from vlx.adapters.huggingface.prompts import (
    Continuation,
    Inputs,
    Parts,
    added,
    continuation,
    continued,
    shortened,
    writes_bos,
)
from vlx.adapters.huggingface.refusals import need_room, reading, refuse_signs, room_of
from vlx.adapters.huggingface.texts import Said, TokenNames, emitted, said_by, tokens_of, words_of
from vlx.errors import LayerError, TextError, VlxError
from vlx.passes.capture import Seen, again, capture
from vlx.passes.chosen_layer import LAST, Given, chosen_layer, is_relative
from vlx.passes.forward import Below, Pass, log_probabilities
from vlx.passes.mean_gradient import on_tokens
from vlx.passes.prepare import prepared
from vlx.passes.reading import Reading, Word, choices_of
from vlx.passes.site import Layer, Site


class Speaker:
    """A model that writes text about an image, read by teacher forcing.

    Its scores are log-probabilities of the tokens that were said, given the image and the prompt; prompt,
    image tokens and padding are never counted, and the sub-words of a word are summed. ``layer`` is a
    module of the vision encoder; by default the last place that still is a grid of the image.
    """

    def __init__(
        self,
        model: Any,
        parts: Parts,
        family: Family,
        *,
        layer: Layer | None = None,
        steps: int = 40,
        name: str = "model",
    ) -> None:
        self.model = model
        self.parts = parts
        self.family = family
        self.steps = steps
        self.name = name
        self._vocabulary = vocabulary_layer(model)
        self._room = room_of(model.config.get_text_config(decoder=True))
        self._ends = end_tokens(model, parts.tokenizer)
        names = TokenNames(parts.tokenizer, self._vocabulary.out_features)
        self._choices = choices_of("caption", names, frozenset(parts.tokenizer.all_special_ids))
        self._layouts = Layouts(partial(self._prepared, prompt=family.describe), parts.images)
        self._default = layer is None or (layer == LAST and is_relative(model, layer))
        with reading(model):
            self.layer, module = chosen_layer(model, layer, partial(family.site, model), self._call)
        self._site = replace(family.site(model), layer=module) if self._default else Site(module)
        inside = vision_encoder(model)
        if not self._default and not f"{self.layer}.".startswith(f"{inside}."):
            raise LayerError(
                f"layer {self.layer} is not part of the vision encoder {inside}: what comes behind it has no "
                "place on the image"
            )

    @property
    def takes_prompt(self) -> bool:
        """Whether it can be asked anything, of the models of its class."""
        return self.family.takes_prompt

    def at(self, layer: Layer) -> "Speaker":
        """The same model, explained at another layer."""
        return Speaker(self.model, self.parts, self.family, layer=layer, steps=self.steps, name=self.name)

    def read(
        self, images: Sequence[Image.Image], captions: Sequence[str], prompts: Sequence[str] | None = None
    ) -> Pass:
        """Score every word of the given texts, one for each image, after a prompt for each.

        Without ``prompts`` the texts are captions. Raises ImageError where images become inputs of
        different shapes.
        """
        asked = self._asked(images, prompts)
        if len(images) != len(captions):
            raise TextError(f"{len(captions)} texts for {len(images)} images: give one for each")
        layouts = self._layouts.shared(images)
        items = [self._item(*item) for item in zip(images, captions, asked, strict=True)]
        inputs = moved(self.model, collated([item.inputs for item in items], self._pad()))
        site = self._batched(len(images), inputs, layouts[0])
        pixels = inputs["pixel_values"]
        direct = pixels.ndim == 4 and len(pixels) == len(images)
        once = direct and all(image is images[0] for image in images)
        alone = site  # gives a row for each image that is seen
        if once:
            site = replace(site, unpack=partial(repeated, self.layer, len(images)))
        site = replace(site, everywhere=on_tokens(partial(tokens_in_front, layouts[0])))
        seeing = capture(self.model, site, vocabulary=self._vocabulary, steps=self._steps(items, inputs))
        encoder = self.model.get_submodule(vision_encoder(self.model)) if once else None
        with first_alone(encoder), reading(self.model), seeing as seen, given_to(self._vocabulary) as hidden:
            self.model(**inputs)
            scores = log_probabilities(seen.logits)
        below = None
        if direct:
            encode = partial(encoded, self.model, alone, inputs)
            below = Below(pixels, encode, partial(self._rescored, items, inputs), colour=self._layouts.colour)
        need_whole_images(self.layer, len(seen.features), len(images))
        order = raster_order(self.model, self.layer, seen.features)
        grid = grid_of(seen.features, layouts[0], order=order)
        need_places(layouts[0], grid(seen.features), native=pixels.ndim == 2)
        lens = None
        if self.family.places_in_text:
            plane, signs = grid(seen.features).shape[-2:], self._choices.signs
            sequence = (hidden, inputs, rows_of(items), signs)
            lens = lens_of(self.model, self._vocabulary, *sequence, layouts[0], plane)
        return Pass(
            features=seen.features,
            scores=scores,
            readings=tuple(map(self._reading, items, prompts or [""] * len(images))),
            frames=tuple(layout.frame for layout in layouts),
            images=tuple(images),
            grid=grid,
            below=below,
            shortcuts=seen.shortcuts,
            above=again(seen, partial(self._scored, items), partial(self._steps_of, items)),
            model=self.name,
            layer=self.layer,
            lens=lens,
        )

    def _copies(self, item: Item, count: int) -> tuple[list[Item], Inputs]:
        return [item] * count, moved(self.model, collated([item.inputs] * count, self._pad()))

    def _steps_of(self, items: Sequence[Item], position: int, count: int) -> Any:
        return self._steps(*self._copies(items[position], count))

    def _scored(
        self, items: Sequence[Item], seen: Seen, position: int, count: int
    ) -> Float[Tensor, "count step token"]:
        with reading(self.model):
            self.model(**self._copies(items[position], count)[1])
        return log_probabilities(seen.logits)

    def _rescored(
        self,
        items: Sequence[Item],
        inputs: Inputs,
        pixels: Float[Tensor, "batch 3 height width"],
        position: int,
    ) -> Float[Tensor, "batch step token"]:
        steps = self._steps([items[position]] * len(pixels), inputs)
        seeing = capture(self.model, self._site, vocabulary=self._vocabulary, steps=steps)
        with seeing as seen, torch.no_grad():
            self.model(**of_item(inputs, position, pixels))
            return log_probabilities(seen.logits)

    def generate(self, images: Sequence[Image.Image], beam: int = 1) -> list[str]:
        """Write one caption for each image: greedy, or the best of a beam.

        Each keeps its tokens, so that `read` scores these and no others.
        """
        return [self._said(self._begun(image, self.family.describe), beam) for image in images]

    def respond(self, images: Sequence[Image.Image], prompts: Sequence[str], beam: int = 1) -> list[str]:
        """Write one answer to a prompt for each image, as `generate` writes captions."""
        asked = self._asked(images, prompts)
        return [self._said(self._begun(*pair), beam) for pair in zip(images, asked, strict=True)]

    def _said(self, inputs: Inputs, beam: int) -> Said:
        given = moved(self.model, self.family.spoken(self.model, inputs))
        begun = 1 if self.family.decoder else inputs["input_ids"].shape[1]
        steps = self.steps if self._room is None else min(self.steps, self._room - begun)
        with reading(self.model), prepared(self.model), torch.no_grad():
            out = self.model.generate(**given, max_new_tokens=steps, num_beams=beam, do_sample=False)
        ids: list[int] = out[0].tolist()
        prompt: list[int] = [] if self.family.decoder else inputs["input_ids"][0].tolist()
        if self.family.decoder:
            ids = ids[1:]  # the token with which the decoder starts
        elif ids[: len(prompt)] == prompt:
            ids = ids[len(prompt) :]
        return emitted(self.parts.tokenizer, ids, self._ends)

    def _asked(self, images: Sequence[Image.Image], prompts: Sequence[str] | None) -> list[str]:
        if prompts is None:
            return [self.family.describe] * len(images)
        if not self.family.takes_prompt and any(map(str.strip, prompts)):
            raise VlxError(
                f"a {type(self.model).__name__} takes no prompt: leave it out, or use a model that answers"
            )
        if len(prompts) != len(images):
            raise TextError(f"{len(prompts)} prompts for {len(images)} images: give one for each")
        for prompt in prompts:
            refuse_signs(self.parts.tokenizer, self.parts.joint, prompt)
        return [self.family.ask.format(prompt) for prompt in prompts]

    def _item(self, image: Image.Image, said: str, prompt: str) -> Item:
        own = said_by(self.parts.tokenizer, said)
        if own is None:
            refuse_signs(self.parts.tokenizer, self.parts.joint, said)
        joined = self._decoded if self.family.decoder else self._spoken
        item = joined(image, own, said, prompt)
        for name in ("input_ids", "decoder_input_ids"):
            if name in item.inputs:
                text = said if name.startswith("decoder") or not self.family.decoder else prompt
                need_room(self._room, item.inputs[name].shape[1], text)
        return item

    def _decoded(self, image: Image.Image, own: Said | None, given: str, prompt: str) -> Item:
        """What is said in a decoder of its own."""
        inputs = self._prepared(image, prompt)
        if own is not None:
            ids, end = own.ids, own.end
        else:
            ids, end = (*self._opening(), *tokens_of(self.parts.tokenizer, given)), None
        text = torch.tensor([[start_token(self.model), *ids]])
        return Item({**inputs, "decoder_input_ids": text}, ids, 0, end)

    def _spoken(self, image: Image.Image, own: Said | None, given: str, prompt: str) -> Item:
        """What is said behind the prompt, in one sequence."""
        prompting = self.family.prompting
        if own is not None:
            found = Continuation(self._text(prompt), own.ids, own.end)
        else:
            wording = prompting.wording(self.parts, prompt, given.strip())
            found = continuation(self.parts, wording, given.strip(), by_itself=prompting.by_itself)
        inputs = shortened(self._read(image, found.context), found.dropped)
        inputs = continued(inputs, found.instead, {})
        whole = continued(inputs, found.ids, self.family.types)
        return Item(whole, found.ids, inputs["input_ids"].shape[1] - 1, found.end, found.swallowed)

    def _opening(self) -> list[int]:
        """What a decoder emits before the words: BOS, where it does not start with it."""
        forced = getattr(self.model.generation_config, "forced_bos_token_id", None)
        if forced is not None:
            return [int(forced)]
        front, end = added(self.parts.tokenizer)
        return front if start_token(self.model) in end else []  # as BART and TrOCR learnt it

    def _steps(self, items: Sequence[Item], inputs: Inputs) -> Any:
        length = inputs["decoder_input_ids" if self.family.decoder else "input_ids"].shape[1]
        return partial(rows_of_text, rows_of(items), length)

    def _reading(self, item: Item, prompt: str) -> Reading:
        words = words_of(self.parts.tokenizer, item.ids, item.before)
        token = item.end if item.end in self._ends else (self._ends or [None])[0]
        end = None if token is None else Word("END", (len(item.ids),), (token,))
        return Reading("caption", words, self._choices, end, prompt=prompt)

    def _pad(self) -> int:
        known = self.parts.tokenizer.pad_token_id
        return int(known) if known is not None else (self._ends or [0])[0]

    def _begun(self, image: Image.Image, prompt: str) -> Inputs:
        """The inputs up to where the model goes on, and it has room to."""
        inputs = self._prepared(image, prompt)
        if "input_ids" in inputs:
            need_room(self._room, inputs["input_ids"].shape[1] + (not self.family.decoder), prompt)
        return inputs

    def _prepared(self, image: Image.Image, prompt: str) -> Inputs:
        """The inputs up to where the model goes on to speak."""
        return self._read(image, self._text(prompt))

    def _call(self) -> Given:
        """What the model is called with to see which layer stands where."""
        blank = Image.new("RGB", (256, 256))
        return (), moved(self.model, self._item(blank, "a", self.family.describe).inputs)

    def _text(self, prompt: str) -> str:
        return self.family.prompting.wording(self.parts, prompt, None).prompt

    def _read(self, image: Image.Image, text: str) -> Inputs:
        prompting, tokenizer = self.family.prompting, self.parts.tokenizer
        inputs = prompting.inputs(self.model, self.parts, image, text)
        goes_on = not (self.family.decoder or prompting.by_itself or writes_bos(tokenizer, text))
        return shortened(inputs, len(added(tokenizer)[1])) if goes_on else inputs

    def _batched(self, batch: int, inputs: Inputs, layout: Layout) -> Site:
        """The site with a batch axis, where the model packs all patches or tiles of a batch together."""
        patches = inputs["pixel_values"].ndim == 2
        if patches and not self._default:
            raise LayerError(
                f"layer {self.layer} holds its patches in another order than the image: leave layer out, "
                "and the merged features are taken, which are in order"
            )
        if not patches and len(layout.tiles) == 1:
            return self._site
        return replace(self._site, unpack=partial(unpacked, batch), pack=packed)
