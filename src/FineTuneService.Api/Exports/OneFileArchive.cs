using System.Formats.Tar;

namespace FineTuneService.Api.Exports;

/// <summary>A tar archive of one file that is made for it. The archive says how long a file is before it begins, so it is laid down first.</summary>
internal static class OneFileArchive
{
    public static async Task Write(Stream body, string path, DateTimeOffset time, Func<Stream, Task> write, CancellationToken cancel)
    {
        await using var file = ScratchFile.Create();
        await write(file);
        file.Position = 0;
        await using var tar = new TarWriter(body, TarEntryFormat.Pax, leaveOpen: true);
        await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, path) { DataStream = file, ModificationTime = time }, cancel);
    }
}
