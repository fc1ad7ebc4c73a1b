"""Learning-rate schedules in closed form: the rate of an iteration depends on nothing but its number."""

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from mmseg.errors import ConfigError
from mmseg.registry import PARAM_SCHEDULERS


class ClosedFormLR(LRSchedulerMixin, _ParamScheduler):
    """A schedule that is resumed by its number of iterations alone."""

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore where a run stands; the course is that of the config, so that a run can be prolonged."""
        self.base_values, self._global_step = state_dict["base_values"], state_dict["_global_step"]
        self.last_step = min(self._global_step, self.end - 1) - self.begin
        self._last_value = self._get_value()
        for group, value in zip(self.optimizer.param_groups, self._last_value, strict=True):
            group[self.param_name] = value


@PARAM_SCHEDULERS.register_module()
class PolyWarmupLR(ClosedFormLR):
    """Polynomial decay with a linear warm-up.

    mmengine's ``LinearLR`` and ``PolyLR`` together give the same rates; here ``end`` is filled in with the
    length of the run, and a run that is resumed with another length follows the course of its config.

    Without warm-up the rate of iteration t is ``(base - min_lr) * (1 - t / T) ** power + min_lr``; during the
    first ``warmup_iters`` iterations it, or with ``decay_in_warmup=False`` the base rate, is multiplied by
    ``1 - (1 - t / warmup_iters) * (1 - warmup_ratio)``.

    Args:
        optimizer: The optimizer (wrapper) to drive.
        power: Exponent of the decay.
        min_lr: The rate at the end, the same for all parameter groups.
        warmup_iters: Length of the warm-up; 0 = none.
        warmup_ratio: Factor of the first iteration.
        decay_in_warmup: Whether the rate decays during the warm-up, too.
        end: T, the number of iterations; the runner fills in the length of the run.
        begin, by_epoch, last_step, verbose: As in mmengine; ``by_epoch`` has to be False.
    """

    def __init__(
        self,
        optimizer,
        power: float = 1.0,
        min_lr: float = 0.0,
        warmup_iters: int = 0,
        warmup_ratio: float = 1e-6,
        decay_in_warmup: bool = True,
        begin: int = 0,
        end: int = 40000,
        last_step: int = -1,
        by_epoch: bool = False,
        verbose: bool = False,
    ) -> None:
        self.power = power
        self.min_lr = min_lr
        self.warmup_iters = warmup_iters
        self.warmup_ratio = warmup_ratio
        self.decay_in_warmup = decay_in_warmup
        self.total_iters = end - begin
        super().__init__(
            optimizer, begin=begin, end=end, last_step=last_step, by_epoch=by_epoch, verbose=verbose
        )

    def _get_value(self) -> list[float]:
        step = self.last_step
        decay = max(0.0, 1 - step / self.total_iters) ** self.power
        factor = 1.0
        if step < self.warmup_iters:
            factor = 1 - (1 - step / self.warmup_iters) * (1 - self.warmup_ratio)
            decay = decay if self.decay_in_warmup else 1.0
        return [((base - self.min_lr) * decay + self.min_lr) * factor for base in self.base_values]


@PARAM_SCHEDULERS.register_module()
class LinearToZeroLR(ClosedFormLR):
    """A constant rate, then a linear decay to 0, as CycleGAN (Zhu et al., ICCV 2017) trains.

    With n periods of constant rate and m periods of decay, the factor of period e is
    1 − max(0, e + 2 − n) / (m + 1). As published, the last constant period decays already, and the last
    period has the rate 0.

    Args:
        optimizer: The optimizer (wrapper) to drive.
        constant_iters: Iterations of the constant rate; None = half of all.
        period: Iterations of a period: 1, or the length of an epoch in order to lower the rate after each.
        end: Number of all iterations; the runner fills in the length of the run.
        begin, by_epoch, last_step, verbose: As in mmengine; ``by_epoch`` has to be False.

    Raises:
        ConfigError: The constant part is longer than the run, or a period has no iteration.
    """

    def __init__(
        self,
        optimizer,
        constant_iters: int | None = None,
        period: int = 1,
        begin: int = 0,
        end: int = 200_000,
        last_step: int = -1,
        by_epoch: bool = False,
        verbose: bool = False,
    ) -> None:
        total = end - begin
        constant = total // 2 if constant_iters is None else constant_iters
        if period < 1 or not 0 <= constant <= total:
            raise ConfigError(
                f"LinearToZeroLR: constant_iters={constant_iters}, period={period}; expected up to {total} "
                "iterations, the length of the schedule, and a period of one iteration at least"
            )
        self.period = period
        self.constant = constant / period
        self.decay = (total - constant) / period
        super().__init__(
            optimizer, begin=begin, end=end, last_step=last_step, by_epoch=by_epoch, verbose=verbose
        )

    def _get_value(self) -> list[float]:
        number = self.last_step // self.period
        factor = 1 - max(0.0, number + 2 - self.constant) / (self.decay + 1)
        return [base * max(0.0, factor) for base in self.base_values]
