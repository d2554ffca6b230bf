using FineTuneService.Training.Native;

namespace FineTuneService.Training.Tests.Native;

public sealed class SymbolVersionsTests
{
    [Fact]
    public void The_published_library_insists_on_versions_that_it_does_not_need()
    {
        var required = SymbolVersions.Required(PublishedLibrary.Bytes);
        Assert.Contains("GLIBCXX_3.4.32", required);
        Assert.Contains("GLIBC_2.2.5", required);
    }

    [Fact]
    public void Weakening_touches_the_flags_of_the_named_versions_and_nothing_else()
    {
        var mended = (byte[])PublishedLibrary.Bytes.Clone();
        var before = SymbolVersions.Required(mended);
        var weakened = SymbolVersions.Weaken(mended, SymbolVersions.Needless);

        Assert.InRange(weakened, 1, SymbolVersions.Needless.Length);
        Assert.Equal(before.Where(name => !SymbolVersions.Needless.Contains(name)), SymbolVersions.Required(mended));
        Assert.Empty(SymbolVersions.Missing(mended));
        Assert.Equal(weakened, mended.Zip(PublishedLibrary.Bytes).Count(pair => pair.First != pair.Second));
        Assert.Equal(0, SymbolVersions.Weaken(mended, SymbolVersions.Needless));
    }

    [Fact]
    public void The_build_mends_its_copy_and_leaves_the_package_alone()
    {
        var built = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", PublishedLibrary.FileName));
        Assert.Empty(SymbolVersions.Missing(built));
        Assert.Contains("GLIBCXX_3.4.32", SymbolVersions.Required(PublishedLibrary.Bytes));
    }

    [Fact]
    public void Something_that_is_no_ELF_file_is_refused() =>
        Assert.Throws<InvalidDataException>(() => SymbolVersions.Required(new byte[100]));
}
