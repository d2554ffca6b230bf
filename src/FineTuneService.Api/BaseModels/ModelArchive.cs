using System.Formats.Tar;
using System.IO.Compression;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Hub;

namespace FineTuneService.Api.BaseModels;

/// <summary>
/// Takes a model's files out of an archive, and nothing else: what is not needed is passed over, pickles always; a name that leads out, a link,
/// a device, more bytes or entries than allowed spoil it all. The model may lie in the archive's top or in one folder of it.
/// </summary>
internal sealed class ModelArchive(string path, string fileName, string folder, long maxBytes)
{
    private const int MostEntries = 10_000;
    private const int BufferBytes = 128 << 10;
    private const int FileTypeMask = 0xF000, RegularFile = 0x8000, NoFileType = 0; // S_IFMT, S_IFREG of a zip's Unix attributes

    private static readonly string[] Endings = [".tar", ".tar.gz", ".tgz", ".zip"];

    private readonly HashSet<(string Top, string Name)> _seen = [];
    private int _entries;
    private long _bytes;

    /// <summary>The file's name without the ending that tells its format.</summary>
    public static string? NameWithoutEnding(string fileName) =>
        Endings.FirstOrDefault(ending => fileName.EndsWith(ending, StringComparison.OrdinalIgnoreCase)) is { } ending ? fileName[..^ending.Length] : null;

    /// <returns>The folder, within the one given, that the model is in now.</returns>
    /// <exception cref="FaultException">When there is no model in it, or something that has no place in a model.</exception>
    public async Task<string> Unpack(CancellationToken cancel)
    {
        try
        {
            if (fileName.EndsWith(".zip", StringComparison.OrdinalIgnoreCase))
                await UnpackZip(cancel);
            else
                await UnpackTar(cancel);
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException or FormatException or NotSupportedException or OverflowException)
        {
            throw Fault(null, $"The archive cannot be read: {error.Message}", "Pack it again: tar, tar.gz or zip.");
        }
        return TakeOnlyModel();
    }

    private async Task UnpackTar(CancellationToken cancel)
    {
        await using var file = File.OpenRead(path);
        await using Stream stream = fileName.EndsWith(".tar", StringComparison.OrdinalIgnoreCase) ? file : new GZipStream(file, CompressionMode.Decompress);
        await using var tar = new TarReader(new ShortTarHeaders(stream));
        while (await tar.GetNextEntryAsync(copyData: false, cancel) is { } entry)
        {
            if (entry.EntryType == TarEntryType.GlobalExtendedAttributes)
                continue;
            var isFile = entry.EntryType is TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.ContiguousFile;
            if (!isFile && entry.EntryType != TarEntryType.Directory)
                throw Fault(entry.Name, $"The archive has an entry that is neither file nor folder: {entry.EntryType}.", "Pack the files themselves: with tar -h, or cp -L before.");
            await Take(entry.Name, isFile, entry.Length, () => entry.DataStream ?? Stream.Null, cancel);
        }
    }

    private async Task UnpackZip(CancellationToken cancel)
    {
        await using var file = File.OpenRead(path);
        using var zip = new ZipArchive(file, ZipArchiveMode.Read);
        foreach (var entry in zip.Entries)
        {
            var isFile = !entry.FullName.EndsWith('/');
            if (isFile && ((entry.ExternalAttributes >> 16) & FileTypeMask) is not (RegularFile or NoFileType))
                throw Fault(entry.FullName, "The archive has an entry that is neither file nor folder.", "Pack the files themselves, not links to them.");
            if (entry.IsEncrypted)
                throw Fault(entry.FullName, "The archive is encrypted.", "Pack it without a password.");
            await Take(entry.FullName, isFile, entry.Length, entry.Open, cancel);
        }
    }

    /// <param name="length">As the archive claims; no byte beyond is taken.</param>
    private async Task Take(string entry, bool isFile, long length, Func<Stream> open, CancellationToken cancel)
    {
        if (++_entries > MostEntries)
            throw Fault(null, $"The archive has more than {MostEntries} entries.", "Pack only the model's own files.");
        if (length > maxBytes - _bytes)
            throw new ProblemException(StatusCodes.Status413PayloadTooLarge, $"The archive unpacks to more than {maxBytes} bytes.");
        _bytes += length;
        var name = entry.TrimEnd('/');
        while (name.StartsWith("./", StringComparison.Ordinal))
            name = name[2..];
        if (!isFile && name is "" or ".")
            return;
        if (!ModelFiles.IsInside(name))
            throw Fault(entry, "The archive names a file outside itself, or by a name that no file can have.", "Pack the model's folder with relative names.");
        if (!isFile)
            return;

        var (top, rest) = IsNeeded(name) || !name.Contains('/') ? ("", name) : (name[..name.IndexOf('/')], name[(name.IndexOf('/') + 1)..]);
        if (!_seen.Add((top, rest)))
            throw Fault(entry, "The archive has this file twice.", "Pack it anew.");
        if (!IsNeeded(rest))
            return;
        var target = Path.Combine(PathOf(top), rest);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        await using var from = open();
        await using var to = new FileStream(target, FileMode.CreateNew, FileAccess.Write);
        await Copy(from, to, entry, length, cancel);
    }

    private async Task Copy(Stream from, FileStream to, string entry, long length, CancellationToken cancel)
    {
        var buffer = new byte[BufferBytes];
        for (int read; (read = await from.ReadAsync(buffer, cancel)) > 0; await to.WriteAsync(buffer.AsMemory(0, read), cancel))
            if (to.Position + read > length)
                throw Fault(entry, $"The entry has more than the {length} bytes that the archive claims.", "Pack it again.");
    }

    /// <summary>The top, if it has a config.json, else the one folder that has; without the weights that its own rules leave out.</summary>
    private string TakeOnlyModel()
    {
        var tops = _seen.Where(file => file.Name == "config.json").Select(file => file.Top).OrderBy(top => top.Length).ToList();
        if (tops is not (["", ..] or [_]))
            throw Fault(
                null, tops.Count == 0 ? "There is no config.json in the archive, nor in a folder at its top." : $"The archive has more than one model: {string.Join(", ", tops.Select(one => $"{one}/"))}.",
                "Pack one Hugging Face folder: config.json, model.safetensors and tokenizer files.");
        var top = tops[0];
        var model = PathOf(top);
        var names = _seen.Where(file => file.Top == top).Select(file => file.Name).ToHashSet();
        if (!names.Any(name => IsWeights(name) || name == ModelFiles.WeightsIndex || ModelFiles.IsPickle(name)))
            return model; // The shape of a model, for jobs that draw its weights.
        try
        {
            var weights = ModelFiles.Weights(names, () => File.ReadAllText(Path.Combine(model, ModelFiles.WeightsIndex)));
            foreach (var surplus in names.Where(name => IsWeights(name) && !weights.Contains(name)))
                File.Delete(Path.Combine(model, surplus));
            if (weights.Contains(ModelFiles.SingleWeights))
                File.Delete(Path.Combine(model, ModelFiles.WeightsIndex));
            return model;
        }
        catch (FaultException error)
        {
            throw new FaultException([.. error.Faults.Select(fault => fault with { Pointer = fileName })]);
        }
    }

    private string PathOf(string top) => top.Length == 0 ? Path.Combine(folder, "top") : Path.Combine(folder, "folders", top);

    private static bool IsNeeded(string name) => ModelFiles.IsDescription(name) || IsWeights(name);

    private static bool IsWeights(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal) && !name.Contains('/');

    private FaultException Fault(string? entry, string message, string remedy) => new(fileName, entry, message, remedy);
}
