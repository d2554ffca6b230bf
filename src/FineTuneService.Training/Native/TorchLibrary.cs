using FineTuneService.Contracts;

namespace FineTuneService.Training.Native;

/// <summary>Loads libtorch, or says in words why it does not load and what to do.</summary>
public static class TorchLibrary
{
    private const string FileName = "libLibTorchSharp.so";

    /// <exception cref="FaultException">When the native libraries cannot be loaded.</exception>
    public static void EnsureLoaded()
    {
        try
        {
            torch.InitializeDeviceType(DeviceType.CPU);
            MathKernels.UseWidest();
            HostMemory.Keep();
        }
        catch (Exception error) when (error is TypeInitializationException or NotSupportedException or DllNotFoundException)
        {
            throw Explain(Find(), error);
        }
    }

    /// <summary>What to tell a user whose <paramref name="library"/> (null: not found) failed to load.</summary>
    public static FaultException Explain(string? library, Exception error)
    {
        if (library is null)
            return new(FileName, null, "TorchSharp's native library is not beside this program.", "Build or publish the whole program again: the libtorch packages bring it.");
        if (SymbolVersions.Missing(File.ReadAllBytes(library)) is { Length: > 0 } missing)
            return new(
                library,
                string.Join(", ", missing),
                "This library asks for a newer libstdc++ than this system has, though it uses nothing of it.",
                "Build on this machine (the build then mends its copy), or install libstdc++ of GCC 13 or newer.");
        return new(library, null, $"The library does not load: {error.GetBaseException().Message}", "Run 'ldd' on it: a line that says 'not found' names what to install.");
    }

    private static string? Find() =>
        new[] { Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native"), AppContext.BaseDirectory }
            .Select(folder => Path.Combine(folder, FileName))
            .FirstOrDefault(File.Exists);
}
