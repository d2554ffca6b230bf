using static TorchSharp.torch;

namespace FineTuneService.Training.Native;

/// <summary>
/// ATen operators that TorchSharp does not bind, reached through TorchScript.
/// A faulty source aborts the process, so it is constant and every function has a test.
/// </summary>
internal static class TorchScript
{
    private const string Source = """
        def embedding(weight, ids, padding_idx: int):
            return torch.embedding(weight, ids, padding_idx)

        def rms_norm(input, weight, eps: float):
            return torch.rms_norm(input, weight.shape, weight, eps)

        def global_norm(grads: List[Tensor]):
            return torch.linalg_vector_norm(torch.stack(torch._foreach_norm(grads, 2.0)))

        def scale_(tensors: List[Tensor], factor):
            torch._foreach_mul_(tensors, factor)

        def adamw_(params: List[Tensor], grads: List[Tensor], exp_avg: List[Tensor], exp_avg_sq: List[Tensor], steps: List[Tensor], found_inf, divisor,
                   lr: float, beta1: float, beta2: float, weight_decay: float, eps: float):
            torch._foreach_add_(steps, 1 - found_inf)
            torch._fused_adamw_(params, grads, exp_avg, exp_avg_sq, [], steps,
                                lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay, eps=eps, amsgrad=False, maximize=False, grad_scale=divisor, found_inf=found_inf)

        """; // TorchScript's parser wants the last line ended.

    private static readonly jit.CompilationUnit Functions = jit.compile(Source);

    /// <summary>Rows of <paramref name="weight"/>; row <paramref name="paddingIndex"/> (−1: none) takes no gradient.</summary>
    public static Tensor Embedding(Tensor weight, Tensor ids, int paddingIndex) => (Tensor)Invoke("embedding", weight, ids, paddingIndex);

    /// <summary><paramref name="input"/> over its root mean square in the last dimension, times <paramref name="weight"/> of that dimension.</summary>
    public static Tensor RmsNorm(Tensor input, Tensor weight, double epsilon) => (Tensor)Invoke("rms_norm", input, weight, epsilon);

    /// <summary>L2 norm over all tensors together, a scalar on their device.</summary>
    public static Tensor GlobalNorm(Tensor[] tensors) => (Tensor)Invoke("global_norm", (object)tensors);

    /// <summary>Multiplies all tensors in place by one scalar tensor.</summary>
    public static void Scale(Tensor[] tensors, Tensor factor) => Invoke("scale_", tensors, factor);

    /// <summary>One AdamW step over all tensors in one kernel (Loshchilov and Hutter 2019, arXiv:1711.05101).</summary>
    /// <param name="foundInf">A scalar, fp32: with 1 in it everything stays as it is.</param>
    /// <param name="divisor">Of the gradients, a scalar, fp32.</param>
    public static void AdamW(
        Tensor[] parameters, Tensor[] gradients, Tensor[] expAvg, Tensor[] expAvgSq, Tensor[] steps, Tensor foundInf, Tensor divisor,
        double learningRate, double beta1, double beta2, double weightDecay, double epsilon) =>
        Invoke("adamw_", parameters, gradients, expAvg, expAvgSq, steps, foundInf, divisor, learningRate, beta1, beta2, weightDecay, epsilon);

    /// <summary>
    /// TorchSharp makes a native scalar of each double and keeps no reference to it: a collection between that and the call would free it,
    /// and the function reads what lies there then. Ours live until it has returned.
    /// </summary>
    private static object Invoke(string function, params object[] arguments)
    {
        object[] kept = [.. arguments.Select(argument => argument is double number ? (Scalar)number : argument)];
        try
        {
            return Functions.invoke(function, kept);
        }
        finally
        {
            foreach (var scalar in kept.OfType<Scalar>())
                scalar.Dispose();
        }
    }
}
