namespace FineTuneService.Api.Exports;

/// <summary>Where a file is laid down before it is sent, because its beginning tells of its end; it is gone once it is closed.</summary>
internal static class ScratchFile
{
    public static FileStream Create() => new(
        Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose | FileOptions.Asynchronous);
}
