namespace FineTuneService.Api.Tests;

/// <summary>What lies in a folder, to be compared with what lies there later.</summary>
internal static class FolderTree
{
    /// <summary>Path, kind, length and time of change of everything; links are not followed.</summary>
    public static IReadOnlyList<string> Of(string folder) =>
    [
        .. new DirectoryInfo(folder).EnumerateFileSystemInfos("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None, ReturnSpecialDirectories = false })
            .Select(entry => $"{Path.GetRelativePath(folder, entry.FullName)} {(entry is FileInfo file ? $"{file.Length} {file.LastWriteTimeUtc.Ticks} {file.UnixFileMode}" : "folder")}")
            .Order(StringComparer.Ordinal),
    ];
}
