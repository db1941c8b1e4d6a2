"""The learning rates of an optimizer, as a row of the journal tells them."""

from torch.optim import Optimizer

from runner.optim.optimizers import SINGLE


def learning_rates(optimizer: Optimizer, *, of: str = SINGLE) -> dict[str, float]:
    """Return "lr" of the first group, and where groups have rates of their own, "lr.NAME" of each.

    NAME is the group's key `name`, or else its number. `of` is the name of one optimizer among
    several, which have "lr.OPTIMIZER" and "lr.OPTIMIZER.NAME". Rates are told apart as they are
    before any schedule, so that all rows have the same names.
    """
    groups = optimizer.param_groups
    prefix = "lr" if of == SINGLE else f"lr.{of}"
    rates = {prefix: float(groups[0]["lr"])}
    if len({float(group.get("initial_lr", group["lr"])) for group in groups}) > 1:
        rates |= {
            f"{prefix}.{group.get('name', number)}": float(group["lr"])
            for number, group in enumerate(groups)
        }
    return rates
