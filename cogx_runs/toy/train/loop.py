"""The training loop: one-cycle over a budget of steps or seconds, averaging, checkpoints.

On CUDA a whole update (forward, backward, optimizer, averaging) is captured as one graph a batch
shape: these models are so small that launching their kernels one by one takes most of the time.
Under torchrun several processes train one model, each on batches of its own.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

Batch = tuple[torch.Tensor, ...]
LossOf = Callable[..., torch.Tensor]
_Graph = torch.cuda.CUDAGraph


@dataclass(frozen=True)
class Budget:
    """When training ends: after so many updates or seconds, whichever comes first."""

    steps: int
    seconds: float = math.inf


@dataclass(frozen=True)
class Recipe:
    """How a stage is optimised."""

    peak_lr: float
    warm_up: float = 0.05
    """Share of the budget over which the rate rises."""
    weight_decay: float = 0.01
    max_norm: float = 1.0
    average_decay: float | None = None
    """Decay of the weights' moving average, which replaces the weights at the end."""
    together: bool = False
    """Whether all processes train this model; otherwise the calling one alone."""


def rank() -> int:
    """Tells this process's number among those that train together; 0 when alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Counts the processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


class Log:
    """Appends one JSON object a line to a file and echoes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = time.perf_counter()

    def __call__(self, stage: str, **values: object) -> None:
        line = json.dumps({"stage": stage, "at_s": round(time.perf_counter() - self._start, 1), **values})
        if rank() > 0:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


class _Update:
    """One update of the weights by one batch."""

    def __init__(self, loss_of: LossOf, module: nn.Module, recipe: Recipe) -> None:
        self.parameters: list[torch.Tensor] = [p for p in module.parameters() if p.requires_grad]
        self.device = self.parameters[0].device
        cuda = self.device.type == "cuda"
        rate = torch.tensor(0.0, device=self.device) if cuda else 0.0
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=rate,
            betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay,
            fused=cuda,
            capturable=cuda,
        )
        self.processes = processes() if recipe.together else 1
        if self.processes > 1:
            for p in self.parameters:
                dist.broadcast(p.data, 0)
        self.average = [p.detach().clone() for p in self.parameters]
        # All gradients lie in one block, which is cleared, clipped and shared at once.
        self.gradient = torch.zeros(sum(p.numel() for p in self.parameters), device=self.device)
        offset = 0
        for p in self.parameters:
            p.grad = self.gradient[offset : offset + p.numel()].view_as(p)
            offset += p.numel()
        self._loss_of, self._recipe = loss_of, recipe
        self._graphs: dict[tuple[torch.Size, ...], tuple[_Graph, Batch, torch.Tensor]] = {}
        self._apply_graph: _Graph | None = None
        self._graphable = self._cuda = cuda
        self._blend = torch.ones((), device=self.device)

    def prepare(self, step: int, rate: float) -> None:
        """Sets the learning rate and how much the average takes of the new weights."""
        if self._recipe.average_decay is not None:
            self._blend.fill_(1 - min(self._recipe.average_decay, (1 + step) / (10 + step)))
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def __call__(self, batch: Batch) -> torch.Tensor:
        if not self._graphable:
            loss = self._differentiate(batch)
            self._share()
            self._apply()
            return loss
        key = tuple(t.shape for t in batch)
        if key not in self._graphs:
            self._graphs[key] = self._capture(batch)
        graph, held, loss = self._graphs[key]
        for target, source in zip(held, batch, strict=True):
            target.copy_(source)
        graph.replay()
        self._share()
        if self._apply_graph is None:
            self._apply_graph, _ = _captured(self._apply)
        self._apply_graph.replay()
        return loss

    def _capture(self, batch: Batch) -> tuple[_Graph, Batch, torch.Tensor]:
        held = tuple(t.clone() for t in batch)
        graph, loss = _captured(lambda: self._differentiate(held))
        assert loss is not None
        return graph, held, loss

    def _differentiate(self, batch: Batch) -> torch.Tensor:
        self.gradient.zero_()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._cuda):
            loss = self._loss_of(*batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _share(self) -> None:
        if self.processes > 1:
            dist.all_reduce(self.gradient)

    def _apply(self) -> None:
        norm = self.gradient.norm() / self.processes
        self.gradient.mul_((self._recipe.max_norm / (norm + 1e-6)).clamp(max=1.0) / self.processes)
        self.optimizer.step()
        if self._recipe.average_decay is not None:
            with torch.no_grad():
                change = torch._foreach_sub(self.parameters, self.average)
                torch._foreach_mul_(change, self._blend)
                torch._foreach_add_(self.average, change)


def _captured(run: Callable[[], torch.Tensor | None]) -> tuple[_Graph, torch.Tensor | None]:
    """Runs twice beside the main stream, as capturing asks for, and then captures."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = run()
    return graph, result


def _rate(progress: float, recipe: Recipe) -> float:
    if progress < recipe.warm_up:
        return recipe.peak_lr * (0.02 + 0.98 * progress / recipe.warm_up)
    rest = (progress - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.peak_lr * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * min(rest, 1.0))))


def fit(
    stage: str,
    module: nn.Module,
    loss_of: LossOf,
    next_batch: Callable[[int], Batch],
    budget: Budget,
    recipe: Recipe,
    log: Log,
    checkpoint: Path | None = None,
    report_every: int = 200,
) -> list[float]:
    """Trains `module` in place and returns the reported losses (each a mean since the last).

    With `checkpoint`, progress is kept there once a minute and taken up again when it exists.
    """
    update = _Update(loss_of, module, recipe)
    step, spent = 0, 0.0
    if checkpoint is not None and checkpoint.exists():
        step, spent = _resume(checkpoint, update)
        log(stage, resumed_at_step=step)
    start = saved = time.perf_counter()
    losses: list[float] = []
    total = torch.zeros((), device=update.device)
    counted = 0
    progress = 0.0
    while True:
        elapsed = spent + time.perf_counter() - start
        if update.processes == 1:
            progress = max(step / budget.steps, elapsed / budget.seconds)
        elif step % 10 == 0:
            progress = _agreed(max(step / budget.steps, elapsed / budget.seconds), update.device)
        if progress >= 1:
            break
        update.prepare(step, _rate(progress, recipe))
        total += update(next_batch(step))
        counted += 1
        step += 1
        if step % report_every == 0 or step == budget.steps:
            losses.append(total.item() / counted)
            total.zero_()
            counted = 0
            rate = step / max(spent + time.perf_counter() - start, 1e-9)
            log(stage, step=step, loss=round(losses[-1], 5), steps_a_second=round(rate, 2))
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"{stage}: the loss is {losses[-1]} at step {step}")
        if checkpoint is not None and rank() == 0 and time.perf_counter() - saved > 60:
            _save(checkpoint, update, step, spent + time.perf_counter() - start)
            saved = time.perf_counter()
    if recipe.average_decay is not None:
        with torch.no_grad():
            torch._foreach_copy_(update.parameters, update.average)
    for p in update.parameters:
        p.grad = None
    log(stage, finished_at_step=step, seconds=round(spent + time.perf_counter() - start, 1))
    return losses


def _agreed(progress: float, device: torch.device) -> float:
    """Takes the first process's progress: all must stop at the same step."""
    held = torch.tensor([progress], dtype=torch.float64, device=device)
    dist.broadcast(held, 0)
    return held.item()


def _save(path: Path, update: _Update, step: int, spent: float) -> None:
    state = {
        "parameters": [p.detach() for p in update.parameters],
        "average": update.average,
        "optimizer": update.optimizer.state_dict(),
        "step": step,
        "spent": spent,
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _resume(path: Path, update: _Update) -> tuple[int, float]:
    state = torch.load(path, map_location=update.device, weights_only=True)
    with torch.no_grad():
        torch._foreach_copy_(update.parameters, state["parameters"])
        torch._foreach_copy_(update.average, state["average"])
    update.optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["spent"])
