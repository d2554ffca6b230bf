using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>What a preference costs (TRL's <c>loss_type</c>).</summary>
public enum DpoLossType
{
    /// <summary>−log σ(β·Δ): Rafailov et al. 2023, equation 7; with label smoothing, Mitchell 2023 (conservative DPO).</summary>
    Sigmoid,

    /// <summary>(Δ − 1/2β)², where Δ is a mean over tokens: Azar et al. 2023, equation 17.</summary>
    Ipo,
}

/// <summary>Direct preference optimization from log-probabilities of whole answers.</summary>
public static class DpoLoss
{
    /// <summary>Summed over pairs.</summary>
    /// <param name="ratios">log π(answer) − log π_ref(answer), <c>[2 · pairs]</c>: the chosen, then the rejected.</param>
    /// <param name="lengths">Tokens of each answer that are learnt, <c>[2 · pairs]</c>.</param>
    public static Tensor Sum(DpoLossType type, double beta, double labelSmoothing, Tensor ratios, Tensor lengths)
    {
        if (type == DpoLossType.Ipo)
            return (Margin(ratios / lengths) - 1 / (2 * beta)).square().sum();
        var scaled = beta * Margin(ratios); // [pairs]
        return -((1 - labelSmoothing) * nn.functional.logsigmoid(scaled) + labelSmoothing * nn.functional.logsigmoid(-scaled)).sum();
    }

    /// <summary>The chosen's value less the rejected's, <c>[pairs]</c>.</summary>
    public static Tensor Margin(Tensor values)
    {
        var halves = values.chunk(2);
        return halves[0] - halves[1];
    }
}
