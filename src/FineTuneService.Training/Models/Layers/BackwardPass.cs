using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// Gradients that are computed in C#. An exception, such as want of memory, cannot travel through libtorch, which would abort the process: it waits here until the pass has ended.
/// </summary>
internal static class BackwardPass
{
    private static Exception? Failure;

    /// <param name="inputs">Of the function, as many as it was given.</param>
    /// <returns>No gradients at all once something has failed: nobody will use them.</returns>
    public static List<Tensor> Gradients(int inputs, Func<List<Tensor>> differentiate)
    {
        try
        {
            if (Failure is null)
                return differentiate();
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref Failure, error, null);
        }
        return [.. Enumerable.Repeat<Tensor>(null!, inputs)];
    }

    /// <summary>To be called after a backward pass.</summary>
    public static void ThrowIfFailed()
    {
        if (Interlocked.Exchange(ref Failure, null) is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }
}
