using System.Text.RegularExpressions;

namespace FineTuneService.Architecture.Tests;

/// <summary>What can be seen in the files alone.</summary>
public sealed partial class FileTests
{
    private const int LongestFile = 400;

    /// <summary>Files that are longer, with their length. This list may only shrink.</summary>
    private static readonly Dictionary<string, int> LongFiles = [];

    private static readonly string[] TextExtensions = [".cs", ".csproj", ".props", ".sln", ".json", ".md", ".yml", ".yaml", ".sh", ".svg", ".http", ""];

    [Fact]
    public void A_file_is_read_in_one_sitting() =>
        Assert.Empty(
            from path in SourceFiles()
            let lines = Lines(Repository.Read(path))
            where lines > LongFiles.GetValueOrDefault(path, LongestFile)
            select $"{path}: {lines} lines");

    [Fact]
    public void The_list_of_long_files_only_shrinks() =>
        Assert.Empty(from file in LongFiles where file.Value <= LongestFile || Lines(Repository.Read(file.Key)) < file.Value select file.Key);

    [Fact]
    public void Lock_files_hold_no_addresses() =>
        Assert.Empty(
            from path in Repository.Files
            where Path.GetFileName(path) is "packages.lock.json" or "package-lock.json"
            from Match address in Address().Matches(Repository.Read(path))
            select $"{path}: {address.Value}");

    [Fact]
    public void No_file_names_a_folder_of_somebodys_machine() =>
        Assert.Empty(from path in TextFiles() let found = HomeFolder().Match(Repository.Read(path)) where found.Success select $"{path}: {found.Value}");

    [Fact]
    public void Every_file_of_the_walk_exists()
    {
        var walk = Walk(Repository.Read("README.md"));
        Assert.True(walk.Length >= 10, "The README's walk from POST /jobs to the download is missing.");
        Assert.Empty(walk.Except(Repository.Files));
    }

    [Fact]
    public void Broken_rules_are_seen()
    {
        Assert.Equal(3, Lines("a\nb\nc\n"));
        Assert.Matches(Address(), """{ "resolved": "https://example.org/feed" }""");
        Assert.Matches(HomeFolder(), "see /" + "home/ada/notes");
        Assert.Matches(HomeFolder(), "= '/" + "root/.nuget'");
        Assert.DoesNotMatch(HomeFolder(), "samples/work/ and https://example.org/home/ada/");
        Assert.Equal(["src/A.cs", "src/B/C.cs"], Walk("`src/X.cs`\n## The walk\n1. `src/A.cs` then\n2. `src/B/C.cs`\n## Next\n`src/D.cs`"));
    }

    private static IEnumerable<string> SourceFiles() =>
        Repository.Files.Where(path => path.EndsWith(".cs", StringComparison.Ordinal) && !path.Contains("/Migrations/", StringComparison.Ordinal));

    /// <summary>Fixtures and samples are other people's words.</summary>
    private static IEnumerable<string> TextFiles() =>
        Repository.Files.Where(path =>
            TextExtensions.Contains(Path.GetExtension(path)) && !path.Contains("/Fixtures/", StringComparison.Ordinal) && !path.StartsWith("samples/models/", StringComparison.Ordinal));

    private static int Lines(string text) => text.AsSpan().Count('\n');

    /// <summary>The source files named in the README's section "The walk", in order.</summary>
    private static string[] Walk(string readme) =>
        [.. SourcePath().Matches(WalkSection().Match(readme).Value).Select(match => match.Groups[1].Value)];

    [GeneratedRegex(@"https?://[^\s""]*")]
    private static partial Regex Address();

    [GeneratedRegex(@"(?<![\w./~-])/(root|work|(home|Users)/\w+)/|[A-Za-z]:\\Users\\")]
    private static partial Regex HomeFolder();

    [GeneratedRegex(@"^## The walk.*?(?=^## |\z)", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex WalkSection();

    [GeneratedRegex(@"`(src/[\w./]+\.cs)`")]
    private static partial Regex SourcePath();
}
