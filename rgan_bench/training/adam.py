"""Adam for a captured graph in which its betas move."""

import torch


class MovingBetas(torch.optim.Adam):
    """Adam, as PyTorch's, whose `betas` are tensors on the device of its parameters.

    PyTorch's own take the number from the host, which a CUDA graph would freeze. State and options are the same.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of everything that has a gradient."""
        for group in self.param_groups:
            (beta1, beta2), lr, eps = group["betas"], group["lr"], group["eps"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), device=parameter.device)
                    state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                    state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                step, mean, square = state["step"], state["exp_avg"], state["exp_avg_sq"]
                step += 1
                mean.lerp_(parameter.grad, 1 - beta1)
                square.lerp_(parameter.grad.square(), 1 - beta2)
                spread = (square / (1 - beta2**step)).sqrt_().add_(eps)
                parameter.addcdiv_(mean * (-lr / (1 - beta1**step)), spread)
