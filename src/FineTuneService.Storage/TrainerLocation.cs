using System.ComponentModel;
using System.Diagnostics;
using FineTuneService.Contracts;
using Microsoft.Extensions.Configuration;

namespace FineTuneService.Storage;

/// <summary>Where the <c>finetune</c> command is that hosts start as a child process.</summary>
public sealed record TrainerLocation(string Path)
{
    /// <summary><c>Worker:TrainerPath</c>; else beside this host; else where a build puts it beside this host's own output.</summary>
    /// <exception cref="FaultException">When there is none.</exception>
    public static TrainerLocation Find(IConfiguration configuration)
    {
        var here = System.IO.Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string[] candidates = configuration["Worker:TrainerPath"] is { } given
            ? [System.IO.Path.GetFullPath(given)]
            : [System.IO.Path.Combine(here, "finetune"), System.IO.Path.Combine(here, "..", "..", "FineTuneService.Cli", System.IO.Path.GetFileName(here), "finetune")];
        return candidates.FirstOrDefault(File.Exists) is { } found
            ? new(System.IO.Path.GetFullPath(found))
            : throw new FaultException("Worker:TrainerPath", string.Join(", ", candidates), "The finetune command is not there.", "Build or publish FineTuneService.Cli, or set Worker:TrainerPath.");
    }

    /// <summary>What a child process gets to see: enough to run and to compute, none of the host's secrets.</summary>
    public static void Restrict(IDictionary<string, string?> environment)
    {
        foreach (var name in environment.Keys.Where(name => !IsHarmless(name)).ToList())
            environment.Remove(name);
    }

    /// <summary>A child takes whatever a machine has; the service on the same one is to answer nevertheless.</summary>
    public static void StepBack(Process child)
    {
        try
        {
            child.PriorityClass = ProcessPriorityClass.BelowNormal;
        }
        catch (Exception error) when (error is InvalidOperationException or Win32Exception)
        {
            // It has ended already; its exit code tells why.
        }
    }

    private static bool IsHarmless(string name) =>
        name is "PATH" or "HOME" or "LANG" or "TZ" or "TMPDIR" or "LD_LIBRARY_PATH" or "DOTNET_ROOT"
        || new[] { "LC_", "OMP_", "MKL_", "CUDA_", "NVIDIA_", "DOTNET_gc", "DOTNET_GC" }.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal));
}
