using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Unicode;

namespace FineTuneService.Training.DataQuality;

/// <summary>A file's size, sum and encoding, found in one pass.</summary>
/// <param name="Name">As in <see cref="Contracts.DataFileReport.Encoding"/>.</param>
/// <param name="Sha256">Lower-case hexadecimal digits.</param>
internal sealed record FileEncoding(string Name, bool HasByteOrderMark, long Bytes, string Sha256)
{
    public const string Usual = "utf-8";

    private static readonly (string Name, byte[] Mark)[] Marks = [(Usual, [0xEF, 0xBB, 0xBF]), ("utf-16le", [0xFF, 0xFE]), ("utf-16be", [0xFE, 0xFF])];

    /// <summary>
    /// By its byte order mark; else UTF-16 by NUL bytes on one side of every pair; else UTF-8, unless most lines beyond ASCII are none: then Windows-1252,
    /// or ISO 8859-1 where no byte tells the two apart.
    /// </summary>
    public static FileEncoding Of(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        using var sum = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var lines = new LineCensus();
        var buffer = new byte[1 << 20];
        string? marked = null, wide = null;
        for (int read, at = 0; (read = file.Read(buffer)) > 0; at++)
        {
            var bytes = buffer.AsSpan(0, read);
            sum.AppendData(bytes);
            if (at == 0)
                (marked, wide) = (Marks.FirstOrDefault(known => buffer.AsSpan(0, read).StartsWith(known.Mark)).Name, Utf16(bytes));
            lines.Add(bytes);
        }
        var isText = Data.DataFile.FormatOf(path) != "parquet";
        return new(!isText ? Usual : marked ?? wide ?? lines.Verdict, isText && marked is not null, file.Length, Convert.ToHexStringLower(sum.GetHashAndReset()));
    }

    public static Encoding Decoder(string name) => name switch
    {
        "utf-16le" => Encoding.Unicode,
        "utf-16be" => Encoding.BigEndianUnicode,
        "windows-1252" => CodePagesEncodingProvider.Instance.GetEncoding(1252)!,
        "iso-8859-1" => Encoding.Latin1,
        _ => Encoding.UTF8,
    };

    /// <summary>Texts in European languages: in UTF-16 nearly every second byte is NUL.</summary>
    private static string? Utf16(ReadOnlySpan<byte> bytes)
    {
        Span<int> zeros = stackalloc int[2];
        for (var at = 0; at < bytes.Length; at++)
            if (bytes[at] == 0)
                zeros[at & 1]++;
        var pairs = bytes.Length / 2;
        return zeros[1] * 10 > pairs * 4 && zeros[0] * 10 < pairs ? "utf-16le" : zeros[0] * 10 > pairs * 4 && zeros[1] * 10 < pairs ? "utf-16be" : null;
    }

    /// <summary>Counts lines beyond ASCII that are UTF-8, and those that are not.</summary>
    private sealed class LineCensus
    {
        private static readonly SearchValues<byte> OnlyWindows = SearchValues.Create([.. Enumerable.Range(0x80, 0x20).Select(value => (byte)value)]);

        private readonly ArrayBufferWriter<byte> _begun = new();
        private long _valid, _invalid;
        private bool _hasWindows;

        public string Verdict
        {
            get
            {
                Judge(_begun.WrittenSpan);
                _begun.ResetWrittenCount();
                return _invalid == 0 || _invalid < _valid ? Usual : _hasWindows ? "windows-1252" : "iso-8859-1";
            }
        }

        public void Add(ReadOnlySpan<byte> bytes)
        {
            for (int end; (end = bytes.IndexOf((byte)'\n')) >= 0; bytes = bytes[(end + 1)..])
                if (_begun.WrittenCount == 0)
                    Judge(bytes[..end]);
                else
                {
                    Begin(bytes[..end]);
                    Judge(_begun.WrittenSpan);
                    _begun.ResetWrittenCount();
                }
            Begin(bytes);
        }

        /// <summary>Of lines without an end, the beginning is enough.</summary>
        private void Begin(ReadOnlySpan<byte> bytes)
        {
            if (_begun.WrittenCount < Data.DataFile.MaxRowBytes)
                _begun.Write(bytes);
        }

        private void Judge(ReadOnlySpan<byte> line)
        {
            if (Ascii.IsValid(line))
                return;
            if (Utf8.IsValid(line))
            {
                _valid++;
                return;
            }
            _invalid++;
            _hasWindows |= line.ContainsAny(OnlyWindows);
        }
    }
}

/// <summary>A file in UTF-8: itself, or a copy that lives as long as this.</summary>
internal sealed class Utf8File : IDisposable
{
    private readonly string? _folder;

    public Utf8File(string path, string encoding)
    {
        Path = path;
        if (encoding == FileEncoding.Usual)
            return;
        _folder = Directory.CreateTempSubdirectory("finetune-utf8-").FullName;
        Path = System.IO.Path.Combine(_folder, System.IO.Path.GetFileName(path)); // Faults name the file.
        using var reader = new StreamReader(path, FileEncoding.Decoder(encoding), detectEncodingFromByteOrderMarks: true);
        using var writer = new StreamWriter(Path, append: false, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        var buffer = new char[1 << 16];
        for (int read; (read = reader.Read(buffer)) > 0;)
            writer.Write(buffer, 0, read);
    }

    public string Path { get; }

    public void Dispose()
    {
        if (_folder is not null)
            Directory.Delete(_folder, recursive: true);
    }
}
