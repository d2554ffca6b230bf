using System.Runtime.InteropServices;

namespace FineTuneService.Training.Native;

/// <summary>Tells want of memory from other failures.</summary>
public static class OutOfMemory
{
    /// <summary>How libtorch and the libraries below it say so; TorchSharp hands their words on in an <see cref="ExternalException"/>.</summary>
    private static readonly string[] Words =
    [
        "DefaultCPUAllocator: can't allocate memory", // c10/core/impl/alloc_cpu.cpp
        "DefaultCPUAllocator: not enough memory",
        "CUDA out of memory", // c10/cuda/CUDACachingAllocator.cpp
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
        "could not create a memory object", // oneDNN
    ];

    public static bool Is(Exception error) => error switch
    {
        OutOfMemoryException => true,
        AggregateException several => several.InnerExceptions.Any(Is),
        ExternalException native when Words.Any(word => native.Message.Contains(word, StringComparison.Ordinal)) => true,
        _ => error.InnerException is { } inner && Is(inner),
    };

    /// <summary>What was said, in one line: libtorch adds where in its source that was.</summary>
    public static string Describe(Exception error)
    {
        var cause = error is AggregateException several ? several.InnerExceptions.First(Is) : error;
        while (cause.InnerException is { } inner)
            cause = inner;
        // A message from TorchScript has a traceback before it.
        var line = cause.Message.Split('\n').FirstOrDefault(line => Words.Any(line.Contains)) ?? cause.Message.Split('\n')[0];
        return line[Math.Max(0, Words.Max(word => line.IndexOf(word, StringComparison.Ordinal)))..].Trim().TrimEnd('.');
    }
}
