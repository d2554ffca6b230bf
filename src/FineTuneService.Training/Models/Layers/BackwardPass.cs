using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// Gradients that are computed in C#. An exception, such as want of memory, cannot travel through libtorch, which would abort the process: it waits here until the pass has ended.
/// </summary>
internal static class BackwardPass
{
    private static Exception? Failure;

    [ThreadStatic]
    private static List<Tensor>? Given;

    /// <summary>Calls a function without a tensor that TorchSharp keeps for each: one like its result, for gradients that do not come. It must have said <c>set_materialize_grads(false)</c>.</summary>
    public static Tensor Apply(Func<Tensor> function)
    {
        using var scope = NewDisposeScope();
        return function().MoveToOuterDisposeScope();
    }

    /// <param name="inputs">Of the function, as many as it was given.</param>
    /// <param name="arrived">The gradient of its result. What it has here is a reference, which would hold its memory until the step has ended.</param>
    /// <returns>No gradients at all once something has failed: nobody will use them.</returns>
    public static List<Tensor> Gradients(int inputs, Tensor arrived, Func<List<Tensor>> differentiate)
    {
        LetGo();
        try
        {
            if (Failure is null)
                return Given = differentiate();
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref Failure, error, null);
        }
        finally
        {
            arrived.Dispose();
        }
        return [.. Enumerable.Repeat<Tensor>(null!, inputs)];
    }

    /// <summary>To be called after a backward pass.</summary>
    public static void ThrowIfFailed()
    {
        LetGo();
        if (Interlocked.Exchange(ref Failure, null) is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>libtorch has taken what the last function has given, as another is called now.</summary>
    private static void LetGo()
    {
        foreach (var gradient in Given ?? [])
            gradient?.Dispose();
        Given = null;
    }
}
