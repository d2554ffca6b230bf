using FineTuneService.Training.Native;

namespace FineTuneService.Training.Tests.Native;

public sealed class TorchLibraryTests
{
    private static readonly DllNotFoundException Failure = new("libtorch_cpu.so: cannot open shared object file");

    [Fact]
    public void The_library_loads_here() => TorchLibrary.EnsureLoaded();

    [Fact]
    public void A_missing_library_is_explained()
    {
        var fault = Assert.Single(TorchLibrary.Explain(null, Failure).Faults);
        Assert.Contains("not beside this program", fault.Message, StringComparison.Ordinal);
        Assert.Contains("Build or publish", fault.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_that_asks_for_a_newer_system_is_explained()
    {
        Assert.SkipWhen(SymbolVersions.Missing(PublishedLibrary.Bytes).Length == 0, "This system's libstdc++ has every version that the published library asks for.");
        var fault = Assert.Single(TorchLibrary.Explain(PublishedLibrary.Path, Failure).Faults);
        Assert.Equal(PublishedLibrary.Path, fault.Pointer);
        Assert.Contains("GLIBCXX_3.4.32", fault.Value, StringComparison.Ordinal);
        Assert.Contains("newer libstdc++", fault.Message, StringComparison.Ordinal);
        Assert.Contains("Build on this machine", fault.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_other_failure_keeps_its_own_words()
    {
        var mended = Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", PublishedLibrary.FileName);
        var fault = Assert.Single(TorchLibrary.Explain(mended, new TypeInitializationException("TorchSharp.torch", Failure)).Faults);
        Assert.Contains(Failure.Message, fault.Message, StringComparison.Ordinal);
        Assert.Contains("ldd", fault.Remedy, StringComparison.Ordinal);
    }
}
