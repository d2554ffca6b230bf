using System.Reflection;

namespace FineTuneService.Architecture.Tests;

/// <summary>The working tree that these tests were built from: its files, its projects and what they compiled to.</summary>
internal static class Repository
{
    private static readonly HashSet<string> NotOurs = [".git", ".vs", ".idea", ".vscode", "artifacts", "data", "node_modules"];

    public static string Root { get; } = FindRoot();

    public static string[] Projects { get; } =
        ["FineTuneService.Contracts", "FineTuneService.Client", "FineTuneService.Training", "FineTuneService.Cli", "FineTuneService.Storage", "FineTuneService.Hub", "FineTuneService.Worker", "FineTuneService.Api"];

    /// <summary>Paths relative to the root, with forward slashes.</summary>
    public static string[] Files { get; } = [.. FilesIn(new DirectoryInfo(Root)).Select(file => Path.GetRelativePath(Root, file).Replace('\\', '/')).Order(StringComparer.Ordinal)];

    /// <summary>What each project compiled to. Loaded, never run: no native library is touched.</summary>
    public static Assembly[] Assemblies { get; } = [.. Projects.Select(project => Assembly.LoadFrom(AssemblyPath(project)))];

    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    private static string AssemblyPath(string project)
    {
        // …/artifacts/bin/<this project>/<configuration>/
        var output = new DirectoryInfo(AppContext.BaseDirectory);
        return Path.Combine(output.Parent!.Parent!.FullName, project, output.Name, project == "FineTuneService.Cli" ? "finetune.dll" : $"{project}.dll");
    }

    private static IEnumerable<string> FilesIn(DirectoryInfo folder) => folder
        .EnumerateFiles().Select(file => file.FullName)
        .Concat(folder.EnumerateDirectories().Where(child => !NotOurs.Contains(child.Name)).SelectMany(FilesIn));

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "FineTuneService.sln")))
            folder = folder.Parent ?? throw new DirectoryNotFoundException("These tests run inside the repository.");
        return folder.FullName;
    }
}
