using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FineTuneService.Training.Native;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// x · Φ(x) (Hendrycks and Gimpel 2016, arXiv:1606.08415). On the host its derivative, which needs the same error function, is made along with it and written over x: nobody else needs that, since a sum or
/// a product with a matrix, which x is the result of, knows its gradient without it.
/// </summary>
internal sealed unsafe class Gelu : autograd.SingleTensorFunction<Gelu>
{
    /// <summary>Numbers below which the call of a function of ours costs more than it saves.</summary>
    internal const long Smallest = 1 << 21;

    private const int Lanes = HostLoop.Lanes;

    public override string Name => nameof(Gelu);

    /// <param name="input">Of any shape; after this it may hold something else.</param>
    public static Tensor Of(Tensor input) =>
        !HostLoop.IsPlain(input) || input.numel() < Smallest ? functional.gelu(input)
        : is_grad_enabled() && input is { requires_grad: true, is_leaf: false } ? BackwardPass.Apply(() => apply(input))
        : Compute(input, derivative: null);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var input = (Tensor)vars[0];
        var result = Compute(input, derivative: input);
        ctx.save_for_backward([input]);
        ctx.set_materialize_grads(false);
        return result;
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => BackwardPass.Gradients(inputs: 1, grad_output, () =>
    {
        using var _ = no_grad();
        using var derivative = ctx.get_saved_variables()[0];
        return [derivative.detach().mul_(grad_output)];
    });

    private static Tensor Compute(Tensor input, Tensor? derivative)
    {
        var result = empty_like(input, requires_grad: false);
        var work = new Work { Input = HostLoop.Address<float>(input), Result = HostLoop.Address<float>(result), Derivative = derivative is null ? null : HostLoop.Address<float>(derivative) };
        HostLoop.Run([input.numel()], &Evaluate, &work);
        return result;
    }

    private static void Evaluate(void* data, int tensor, int block, long from, int count)
    {
        var work = (Work*)data;
        var whole = count / Lanes * Lanes;
        Evaluate(work->Input + from, work->Result + from, work->Derivative is null ? null : work->Derivative + from, whole);
        if (whole == count)
            return;
        var last = stackalloc float[3 * Lanes];
        for (var i = whole; i < count; i++)
            last[i - whole] = work->Input[from + i];
        Evaluate(last, last + Lanes, last + (2 * Lanes), Lanes);
        for (var i = whole; i < count; i++)
        {
            work->Result[from + i] = last[Lanes + i - whole];
            if (work->Derivative is not null)
                work->Derivative[from + i] = last[(2 * Lanes) + i - whole];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Evaluate(float* input, float* result, float* derivative, int count)
    {
        for (var i = 0; i < count; i += Lanes)
        {
            var x = Vector512.Load(input + i);
            var z = Vector512.Abs(x) * 0.70710678f;
            var exponential = ExpOfNegative(-(z * z));
            // 1 - erf z, Abramowitz and Stegun 7.1.26: to 1.5e-7
            var t = Vector512<float>.One / Vector512.FusedMultiplyAdd(z, Vector512.Create(0.3275911f), Vector512<float>.One);
            var tail = Vector512.FusedMultiplyAdd(Vector512.Create(1.061405429f), t, Vector512.Create(-1.453152027f));
            tail = Vector512.FusedMultiplyAdd(tail, t, Vector512.Create(1.421413741f));
            tail = Vector512.FusedMultiplyAdd(tail, t, Vector512.Create(-0.284496736f));
            tail = Vector512.FusedMultiplyAdd(tail, t, Vector512.Create(0.254829592f));
            tail *= t * exponential * 0.5f;
            var phi = Vector512.ConditionalSelect(Vector512.GreaterThan(x, Vector512<float>.Zero), Vector512<float>.One - tail, tail);
            (x * phi).Store(result + i);
            if (derivative is not null)
                Vector512.FusedMultiplyAdd(x * exponential, Vector512.Create(0.39894228f), phi).Store(derivative + i); // Φ(x) + x φ(x)
        }
    }

    /// <summary>2ⁿ · eʳ with |r| ≤ ln 2 / 2; the polynomial is Cephes' expf.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> ExpOfNegative(Vector512<float> x)
    {
        var rounder = Vector512.Create(12582912f); // 1.5 · 2²³: what is added to it is rounded to a whole number, which stands in its last bits.
        x = Vector512.Max(x, Vector512.Create(-80f));
        var shifted = Vector512.FusedMultiplyAdd(x, Vector512.Create(1.44269504f), rounder);
        var n = shifted - rounder;
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var sum = Vector512.FusedMultiplyAdd(Vector512.Create(1.9875691500e-4f), r, Vector512.Create(1.3981999507e-3f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(8.3334519073e-3f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(4.1665795894e-2f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.6666665459e-1f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(5.0000001201e-1f));
        sum = Vector512.FusedMultiplyAdd(sum, r * r, r) + Vector512<float>.One;
        return (sum.AsInt32() + (shifted.AsInt32() << 23)).AsSingle();
    }

    private struct Work
    {
        public float* Input, Result, Derivative;
    }
}
