"""Sampling from a transformers model in this process.

    generator = TransformersGenerator(model, tokenizer)
    for completion in generator.stream([Request("p1", "What is 3 + 4?", n=8)], Sampling(temperature=0.6)):
        print(completion.sample, completion.response)

The n samples of a request share one prefill. A row that finishes leaves the batch, and waiting samples take the
free rows (continuous batching; Yu et al., "Orca", OSDI 2022), so nothing waits for the longest answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from titer.errors import InputError
from titer.generate.checks import check_sampling, checked
from titer.generate.finished import finished
from titer.generate.kv import as_cache
from titer.generate.memory import RowBudget, fixed_rows, free_bytes, row_budget
from titer.generate.protocol import Completion, Request, Sampling
from titer.generate.rows import ActiveRows, Finished, Prefill, Prompt, Seat
from titer.generate.text import TokenStops, render, room, turn_text
from titer.records.templates import end_ids

_REFILL = 4
"""Waiting samples come in when a fourth of the batch is free: a prefill per finished row would cost more."""

_PREFILL_TOKENS = 2048
"""Prompt tokens, padding included, of one prefill. Bounds its activations."""

_LAYER_TYPES = {"full_attention", "sliding_attention"}
"""Of a text config's `layer_types`: those whose past is keys and values, one column per token."""


class TransformersGenerator:
    """Samples a Hugging Face causal language model with attention layers: Llama, Qwen, Gemma, Mistral, ….

    Prompts go through the tokenizer's chat template as one user turn, or in as they are where there is none. A
    prompt may fill the context up to one token; where prompt and `max_tokens` together exceed it, that row's
    limit is what the context leaves, and the completion that reaches it has finish_reason "length".

    A sample depends on what else is in its batch only through the rounding of the model's own arithmetic.

    Args:
        model: runs where it is, or on `device` if that is given. Put into eval mode while it samples.
        tokenizer: the model's own.
        name: what rollouts call the model; by default the place that it was loaded from.
        batch_size: rows decoded at once. By default as many as memory holds, at most 256.
        device: moves the model there.

    Raises:
        InputError: for a model whose layers keep something other than keys and values (Mamba, linear attention).

    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str = "",
        batch_size: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self._model = model if device is None else model.to(device)
        self._tokenizer = tokenizer
        self._config = model.config.get_text_config(decoder=True)
        if batch_size is not None and batch_size < 1:
            raise InputError(f"{batch_size} rows", field="batch_size", remedy="give at least 1")
        self._batch_size = batch_size
        self._eos_ids = end_ids(getattr(model.generation_config, "eos_token_id", None), tokenizer)
        self.name = name or str(model.config.name_or_path or type(model).__name__)
        odd = set(getattr(self._config, "layer_types", None) or ()) - _LAYER_TYPES
        if odd:
            fault = f"{self.name} has layers of type {', '.join(sorted(odd))}, which cannot be sampled in process"
            raise InputError(fault, remedy="serve it (vLLM, transformers serve) and give the server's address")

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one Completion per request and sample, as each finishes.

        Requests are pulled when rows are free. Raises InputError for sampling settings out of range, a request id
        that comes twice, and a prompt without tokens or longer than the context.
        """
        check_sampling(sampling)
        return self._run(_Waiting(self._seats(requests, sampling)), sampling)

    def _seats(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Seat]:
        for request in checked(requests):
            prompt = self._prompt(request, sampling)
            for sample in range(request.first, request.first + request.n):
                yield Seat(prompt, sample)

    def _run(self, waiting: _Waiting, sampling: Sampling) -> Iterator[Completion]:
        was_training = self._model.training
        self._model.eval()
        stops = TokenStops(self._tokenizer, sampling.stop) if sampling.stop else None
        rows = ActiveRows(self._model, sampling, self._eos_ids, stops)
        try:
            budget = self._budget()
            while True:
                seats = self._admitted(waiting, rows, budget)
                self._prefill(seats)
                rows.seat(seats)
                if not len(rows):
                    return
                for done in rows.draw():
                    yield self._completion(done, sampling)
                if len(rows):
                    rows.forward()
        finally:
            if was_training:
                self._model.train()

    def _admitted(self, waiting: _Waiting, rows: ActiveRows, budget: RowBudget) -> list[Seat]:
        """The samples that come in now: none until enough rows are free for them."""
        columns, taken, seats = rows.columns, len(rows), list[Seat]()
        capacity = budget.rows(columns)
        if taken and taken > capacity - max(1, capacity // _REFILL):
            return seats
        while taken < budget.rows(columns) and (seat := waiting.peek()):
            columns = max(columns, len(seat.prompt.ids) + seat.prompt.limit)
            if taken and taken >= budget.rows(columns):
                break
            seats.append(waiting.take())
            taken += 1
        return seats

    def _budget(self) -> RowBudget:
        if self._batch_size is not None:
            return fixed_rows(self._batch_size)
        return row_budget(self._model, free=free_bytes(self._model.device))

    def _prompt(self, request: Request, sampling: Sampling) -> Prompt:
        ids, opener = render(self._tokenizer, request)
        context = getattr(self._config, "max_position_embeddings", None)
        limit = room(request, len(ids), sampling, context=context, model=self.name)
        return Prompt(request, ids, opener, limit)

    def _prefill(self, seats: Iterable[Seat]) -> None:
        """Run the prompts that no sample has been seated with yet, those of like length together."""
        prompts = {id(seat.prompt): seat.prompt for seat in seats if seat.prompt.prefill is None}
        for chunk in _chunks(sorted(prompts.values(), key=lambda prompt: len(prompt.ids))):
            prefill = self._forward_prompts([prompt.ids for prompt in chunk])
            for row, prompt in enumerate(chunk):
                prompt.prefill, prompt.prefill_row = prefill, row

    @torch.inference_mode()
    def _forward_prompts(self, ids: list[list[int]]) -> Prefill:
        prompts = [torch.tensor(row, device=self._model.device) for row in ids]
        input_ids = pad_sequence(prompts, batch_first=True, padding_side="left")
        ones = [torch.ones_like(prompt, dtype=torch.bool) for prompt in prompts]
        mask = pad_sequence(ones, batch_first=True, padding_side="left")
        cache = DynamicCache()
        output = self._model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            **as_cache(self._model, cache),
            use_cache=True,
            logits_to_keep=1,
        )
        return Prefill(cache, output.logits[:, -1].to(self._model.device))

    def _completion(self, done: Finished, sampling: Sampling) -> Completion:
        (prompt, sample), ids, reason = done
        text = turn_text(self._tokenizer, ids, self._eos_ids)
        return finished(
            prompt.request,
            sample,
            text,
            sampling.stop,
            opener=prompt.opener,
            reason=reason,
            tokens=len(ids),
            ids=ids,
        )


class _Waiting:
    """Samples that have no row yet. Pulls one ahead, and no more."""

    def __init__(self, seats: Iterator[Seat]) -> None:
        self._seats = seats
        self._next: Seat | None = None

    def peek(self) -> Seat | None:
        """The next sample, which stays; None when there is none."""
        self._next = self._next or next(self._seats, None)
        return self._next

    def take(self) -> Seat:
        """The sample that `peek` showed."""
        assert self._next is not None
        seat, self._next = self._next, None
        return seat


def _chunks(prompts: Sequence[Prompt]) -> Iterator[list[Prompt]]:
    """Cut prompts, sorted by length, into stretches of at most `_PREFILL_TOKENS` padded tokens."""
    chunk: list[Prompt] = []
    for prompt in prompts:
        if chunk and (len(chunk) + 1) * len(prompt.ids) > _PREFILL_TOKENS:
            yield chunk
            chunk = []
        chunk.append(prompt)
    if chunk:
        yield chunk
