"""What a call takes of diffusers' words: outputs a prompt, their form, and what is called after every step."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ParamSpec, TypeVar

from jaxtyping import Shaped
from torch import Tensor

from lumos.conventions.output import OUTPUT_TYPES, OutputType, PipelineOutput
from lumos.conventions.words import OF_A_CALL, refuse_words
from xllmx.settings.argument_types import check_type
from xllmx.settings.setting import SettingError, suggestion, whole_number

P = ParamSpec("P")
Output = TypeVar("Output", bound=PipelineOutput)
Item = TypeVar("Item")
Picture = TypeVar("Picture")

OnStepEnd = Callable[[Any, int, Any, dict[str, Tensor]], Mapping[str, Tensor] | None]
"""`(pipeline, step, timestep, {"latents": tensor})`; what it returns goes on in place of what it was given."""

LATENTS = "latents"
MOST_PER_PROMPT = 10_000

_PER_PROMPT = ("num_images_per_prompt", "num_videos_per_prompt")


@dataclass(frozen=True, kw_only=True)
class CallWords:
    """Diffusers' words of one call, taken from among its other arguments."""

    num_per_prompt: int = 1
    """`num_images_per_prompt` or `num_videos_per_prompt`, which say the same."""
    output_type: OutputType = "pil"
    """The form of the frames."""
    callback_on_step_end: OnStepEnd | None = None
    """Called after every step."""
    callback_on_step_end_tensor_inputs: Sequence[str] = (LATENTS,)
    """What it is given: `latents`, or nothing."""

    @classmethod
    def taken_from(cls, given: Mapping[str, Any]) -> tuple["CallWords", dict[str, Any]]:
        """Return the words among the arguments that are given (None = not given), and the other arguments.

        Raises:
            SettingError: a value outside its rule, or a word of diffusers that has no meaning here.
        """
        others = dict(given)
        numbers = {name: others.pop(name, None) for name in _PER_PROMPT}
        words = {field.name: others.pop(field.name, None) for field in fields(cls) if field.name != "num_per_prompt"}
        refuse_words(others, OF_A_CALL)
        words = {name: value for name, value in words.items() if value is not None}
        _check(words)
        return cls(num_per_prompt=_num_per_prompt(numbers), **words), others

    def repeated(
        self, given: tuple[list[Item], list[Picture], list[str | None]]
    ) -> tuple[list[Item], list[Picture], list[str | None]]:
        """Return prompts, images and negative prompts, each as often as outputs are wanted of it: a a b b.

        Output i of prompt p is clip p * n + i, so that seeds count through the outputs of a prompt first.
        """
        prompts, images, negatives = given
        return self._each(prompts), self._each(images), self._each(negatives)

    def _each(self, items: list[Item]) -> list[Item]:
        return [one for one in items for _ in range(self.num_per_prompt)]


class StepEnd:
    """Calls `callback_on_step_end` of one call of a pipeline, and counts the steps."""

    def __init__(self, pipeline: Any, words: CallWords) -> None:
        """Begin at step 0."""
        self.step = 0
        self._pipeline, self._words = pipeline, words

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is called."""
        return self._words.callback_on_step_end is not None

    @property
    def interrupted(self) -> bool:
        """Whether the call is to end after this step."""
        return bool(self._pipeline.interrupt)

    def __call__(self, timestep: Any, latents: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Return what to go on with: the latents that the callback returns, else those it was given.

        Those it was given it may also change in place.

        Raises:
            ValueError: it returns something else, or tensors of another shape or kind.
        """
        callback = self._words.callback_on_step_end
        step, self.step = self.step, self.step + 1
        if callback is None:
            return latents
        wanted = {LATENTS: latents} if LATENTS in self._words.callback_on_step_end_tensor_inputs else {}
        answer = callback(self._pipeline, step, timestep, wanted)
        return latents if answer is None else _changed(answer, latents)


def with_return_dict(call: Callable[P, Output]) -> Callable[P, Output]:
    """Return the call with `return_dict`: False gives back the tuple `(frames,)` in place of an output."""

    @functools.wraps(call)
    def answered(*args: P.args, **kwargs: P.kwargs) -> Any:  # whoever types the word knows that it is a tuple
        return_dict = kwargs.pop("return_dict", True)
        check_type("return_dict", return_dict, bool)
        output = call(*args, **kwargs)
        return output if return_dict else (output.frames,)

    return answered


def _num_per_prompt(given: Mapping[str, Any]) -> int:
    numbers = {
        name: whole_number(name, value, most=MOST_PER_PROMPT) for name, value in given.items() if value is not None
    }
    if len(set(numbers.values())) > 1:
        first, other = numbers
        raise SettingError(other, f"is {numbers[other]}, and {first} is {numbers[first]}; they say the same: give one")
    return next(iter(numbers.values()), 1)


def _check(words: Mapping[str, Any]) -> None:
    kind = words.get("output_type", "pil")
    if not isinstance(kind, str) or kind not in OUTPUT_TYPES:
        raise SettingError("output_type", f"is {kind!r}; {suggestion(str(kind), OUTPUT_TYPES)}")
    callback = words.get("callback_on_step_end")
    if callback is not None and not callable(callback):
        rule = "it must be a function (pipeline, step, timestep, callback_kwargs) -> dict or None"
        raise SettingError("callback_on_step_end", f"is {callback!r}; {rule}")
    names = words.get("callback_on_step_end_tensor_inputs", [LATENTS])
    if not isinstance(names, list | tuple) or not set(map(str, names)) <= {LATENTS}:
        raise SettingError("callback_on_step_end_tensor_inputs", f"is {names!r}; ['{LATENTS}'] is what there is")


def _changed(answer: Any, latents: Tensor) -> Tensor:
    """Return the latents of what a callback returned, where the others lie and of their kind."""
    remedy = f"return callback_kwargs, {{'{LATENTS}': tensor}} or None"
    if not isinstance(answer, Mapping):
        raise ValueError(f"callback_on_step_end returned {type(answer).__name__}; {remedy}")
    if others := [name for name in answer if name != LATENTS]:
        raise ValueError(f"callback_on_step_end returned {others[0]!r}, which cannot be changed here; {remedy}")
    changed = answer.get(LATENTS, latents)
    if not isinstance(changed, Tensor) or changed.shape != latents.shape:
        shape = list(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        raise ValueError(f"callback_on_step_end returned latents {shape}; they must be {list(latents.shape)}")
    if changed.is_floating_point() != latents.is_floating_point():
        raise ValueError(f"callback_on_step_end returned latents of {changed.dtype}; they must be {latents.dtype}")
    return changed.to(latents)
