using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace FineTuneService.Api.Tests;

/// <summary>Archives and files whose names, sizes and kinds are meant to do harm: refused, or kept under a name of the service's own; nothing else in the house changes.</summary>
public sealed class HostileUploadTests(HostileUploadTests.House house) : IClassFixture<HostileUploadTests.House>
{
    private const string Config = """{"model_type": "bert", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 8}""";

    private readonly string _house = house.Folder;
    private readonly OwnApi _own = house.Service;
    private readonly HttpClient _http = house.Service.Client(Api.Key);

    private string Store => Path.Combine(_house, "store");

    public static TheoryData<string> Entries =>
    [
        "../../../config.json", "m/../../../../config.json", "/tmp/config.json", "//config.json", "..\\..\\config.json", "C:\\config.json", "m/./config.json", "m//config.json", "m/..", "..",
        "config.json\0.txt", "m\0/config.json", "config.json\n", "\u001b[2Jconfig.json", new string('n', 4096), new string('n', 300) + "/config.json", string.Concat(Enumerable.Repeat("n/", 600)) + "config.json",
        "additional_chat_templates/../../../x.jinja", "additional_chat_templates/\0.jinja", $"additional_chat_templates/{new string('n', 300)}.jinja",
    ];

    [Theory, MemberData(nameof(Entries))]
    public async Task A_hostile_name_spoils_the_archive(string entry)
    {
        var before = FolderTree.Of(_house);

        foreach (var fileName in new[] { "names.zip", "names.tar", "names.tar.gz" })
            await Send(fileName, Pack(fileName, ("config.json", Config), (entry, "{}")), HttpStatusCode.UnprocessableEntity);

        Assert.Equal(before, FolderTree.Of(_house));
    }

    [Theory]
    [InlineData(TarEntryType.SymbolicLink, "../../../config.json")]
    [InlineData(TarEntryType.SymbolicLink, "/etc/passwd")]
    [InlineData(TarEntryType.HardLink, "../../../config.json")]
    [InlineData(TarEntryType.BlockDevice, null)]
    [InlineData(TarEntryType.CharacterDevice, null)]
    [InlineData(TarEntryType.Fifo, null)]
    public async Task What_is_no_file_spoils_the_archive_and_what_would_go_through_it(TarEntryType type, string? target)
    {
        var before = FolderTree.Of(_house);
        using var packed = new MemoryStream();
        using (var tar = new TarWriter(packed, leaveOpen: true))
        {
            var link = new PaxTarEntry(type, "m");
            if (target is not null)
                link.LinkName = target;
            tar.WriteEntry(link);
            tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "m/config.json") { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(Config)) });
        }

        await Send("links.tar", packed.ToArray(), HttpStatusCode.UnprocessableEntity);

        Assert.Equal(before, FolderTree.Of(_house));
    }

    [Theory]
    [InlineData('0', 8L << 30, HttpStatusCode.RequestEntityTooLarge)] // An entry that claims 8 GB.
    [InlineData('0', long.MaxValue, HttpStatusCode.RequestEntityTooLarge)]
    [InlineData('0', -1, HttpStatusCode.UnprocessableEntity)]
    [InlineData('x', 2L << 30, HttpStatusCode.UnprocessableEntity)] // Attributes, which the reader would keep in memory.
    [InlineData('x', 1L << 30, HttpStatusCode.UnprocessableEntity)]
    [InlineData('g', 1L << 30, HttpStatusCode.UnprocessableEntity)]
    [InlineData('L', 1L << 30, HttpStatusCode.UnprocessableEntity)] // A long name.
    [InlineData('K', long.MaxValue, HttpStatusCode.UnprocessableEntity)]
    public async Task Claimed_sizes_take_no_memory(char type, long size, HttpStatusCode expected)
    {
        var before = FolderTree.Of(_house);
        var header = TarHeader(type, size);

        await Send("claims.tar", [.. header, .. new byte[10_240]], expected);
        await Send("claims.tar.gz", Gzip([.. header, .. new byte[10_240]]), expected);

        Assert.Equal(before, FolderTree.Of(_house));
        Assert.True(_own.PeakMemory < 600 << 20, $"The process took {_own.PeakMemory >> 20} MB.");
    }

    [Fact]
    public async Task Attributes_that_are_as_long_as_they_claim_are_not_read()
    {
        using var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            await gzip.WriteAsync(TarHeader('x', 1_900_000_000), Api.Cancel);
            var zeros = new byte[1_000_000];
            for (var i = 0; i < 1900; i++)
                await gzip.WriteAsync(zeros, Api.Cancel);
        }
        Assert.True(packed.Length < 20_000_000);
        var before = FolderTree.Of(_house);

        await Send("bomb.tar.gz", packed.ToArray(), HttpStatusCode.UnprocessableEntity);

        Assert.Equal(before, FolderTree.Of(_house));
        Assert.True(_own.PeakMemory < 600 << 20, $"The process took {_own.PeakMemory >> 20} MB.");
    }

    [Theory]
    [InlineData("inner.zip")]
    [InlineData("m/inner.tar.gz")]
    public async Task An_archive_in_an_archive_stays_packed(string name)
    {
        var before = FolderTree.Of(_house);
        var bomb = Pack("bomb.zip", ("config.json", new string('0', 19_000_000)));
        for (var depth = 0; depth < 5; depth++)
            bomb = Pack("outer.zip", (name, Encoding.Latin1.GetString(bomb)));
        var clock = Stopwatch.StartNew();

        await Send("nested.zip", bomb, HttpStatusCode.UnprocessableEntity);

        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"{clock.Elapsed}");
        Assert.Equal(before, FolderTree.Of(_house));
    }

    [Fact]
    public async Task Names_that_differ_in_case_are_different_files()
    {
        await Send("cases.zip", Pack("cases.zip", ("CONFIG.JSON", "{}"), ("config.json", Config), ("Vocab.txt", "evil"), ("vocab.txt", "a"), ("VOCAB.TXT", "evil")), HttpStatusCode.Created);

        Assert.Equal(["config.json", "vocab.txt"], Directory.GetFiles(Path.Combine(Store, "models", "cases")).Select(Path.GetFileName).Order());
        Assert.Equal("a", await File.ReadAllTextAsync(Path.Combine(Store, "models", "cases", "vocab.txt"), Api.Cancel));
    }

    [Theory]
    [InlineData("../../../x.csv")]
    [InlineData("/etc/x.csv")]
    [InlineData("..\\..\\x.csv")]
    [InlineData("..%2f..%2fx.csv")]
    [InlineData("x\0.csv")]
    [InlineData("x.csv\0.csv")]
    [InlineData("x\r\nSet-Cookie: a=b.csv")]
    [InlineData("\u202Evsc.exe.csv")]
    [InlineData(".csv")]
    [InlineData("....csv")]
    [InlineData("config.json/.csv")]
    [InlineData("a name with \"quotes\"; and = signs.csv")]
    [InlineData(null)] // One of 4,096 characters.
    public async Task A_hostile_file_name_becomes_no_path(string? name)
    {
        var before = FolderTree.Of(_house);
        using var form = new MultipartFormDataContent();
        var file = new ByteArrayContent("text,label\na,1\n"u8.ToArray());
        file.Headers.TryAddWithoutValidation("Content-Disposition", $"form-data; name=\"file\"; filename=\"x.csv\"; filename*=UTF-8''{Uri.EscapeDataString(name ?? new string('n', 4092) + ".csv")}");
        form.Add(file);

        using var answer = await _http.PostAsync("/datasets", form, Api.Cancel);
        var text = await answer.Content.ReadAsStringAsync(Api.Cancel);

        Assert.True(answer.StatusCode is HttpStatusCode.Created or HttpStatusCode.UnprocessableEntity or HttpStatusCode.BadRequest, $"{(int)answer.StatusCode} {text}");
        if (answer.StatusCode != HttpStatusCode.Created)
        {
            Assert.Equal(before, FolderTree.Of(_house));
            return;
        }
        var dataset = JsonNode.Parse(text)!;
        Assert.Equal($"store/datasets/{dataset["id"]}.csv", Assert.Single(FolderTree.Of(_house).Except(before)).Split(' ')[0]);
        using var download = await _http.GetAsync($"/datasets/{dataset["id"]}/content", Api.Cancel);
        Assert.False(download.Headers.Contains("Set-Cookie"));
        Assert.DoesNotContain('/', download.Content.Headers.ContentDisposition?.FileNameStar ?? "");
    }

    private async Task Send(string fileName, byte[] archive, HttpStatusCode expected) => await Api.Read(await _http.PostAsync("/base-models", Api.Form(fileName, archive), Api.Cancel), expected);

    /// <summary>Names as they are given, which the writers of .NET would not all write.</summary>
    private static byte[] Pack(string fileName, params (string Name, string Content)[] files)
    {
        using var packed = new MemoryStream();
        if (fileName.EndsWith(".zip", StringComparison.Ordinal))
        {
            using (var zip = new ZipArchive(packed, ZipArchiveMode.Create, leaveOpen: true))
                foreach (var (name, content) in files)
                    using (var entry = zip.CreateEntry(name, CompressionLevel.Fastest).Open())
                        entry.Write(Encoding.Latin1.GetBytes(content));
            return packed.ToArray();
        }
        foreach (var (name, content) in files)
        {
            var path = Encoding.UTF8.GetBytes(name);
            packed.Write([.. TarHeader('L', path.Length + 1), .. Padded([.. path, 0])]); // GNU's way to write any name.
            packed.Write([.. TarHeader('0', content.Length), .. Padded(Encoding.Latin1.GetBytes(content))]);
        }
        packed.Write(new byte[1024]);
        return fileName.EndsWith(".gz", StringComparison.Ordinal) ? Gzip(packed.ToArray()) : packed.ToArray();
    }

    private static byte[] Padded(byte[] content) => [.. content, .. new byte[(512 - content.Length % 512) % 512]];

    private static byte[] Gzip(byte[] content)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(content);
        return packed.ToArray();
    }

    /// <summary>As GNU tar writes it; sizes that octal digits cannot tell are in base 256.</summary>
    private static byte[] TarHeader(char type, long size)
    {
        var header = new byte[512];
        "m"u8.CopyTo(header);
        "0000644\0"u8.CopyTo(header.AsSpan(100));
        "0000000\0"u8.CopyTo(header.AsSpan(108));
        "0000000\0"u8.CopyTo(header.AsSpan(116));
        if (size is >= 0 and < 8L << 30)
            Encoding.ASCII.GetBytes(Convert.ToString(size, 8).PadLeft(11, '0')).CopyTo(header.AsSpan(124));
        else
        {
            System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(128), size);
            header.AsSpan(124, 4).Fill((byte)(size < 0 ? 0xFF : 0));
            header[124] |= 0x80;
        }
        "00000000000\0"u8.CopyTo(header.AsSpan(136));
        "        "u8.CopyTo(header.AsSpan(148));
        header[156] = (byte)type;
        "ustar  \0"u8.CopyTo(header.AsSpan(257));
        Encoding.ASCII.GetBytes(Convert.ToString(header.Sum(value => value), 8).PadLeft(6, '0') + "\0 ").CopyTo(header.AsSpan(148));
        return header;
    }

    /// <summary>A service with neighbours, which nobody may touch.</summary>
    public sealed class House(Api api) : IAsyncLifetime
    {
        internal string Folder { get; } = Directory.CreateTempSubdirectory("finetune-house-").FullName;

        internal OwnApi Service { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            foreach (var neighbour in new[] { "config.json", "neighbour/config.json", "store/config.json", "store/models/taken/vocab.txt", "store/models/.drafts/neighbour/config.json" })
            {
                Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(Folder, neighbour))!);
                await File.WriteAllTextAsync(Path.Combine(Folder, neighbour), "do not touch");
            }
            Service = await OwnApi.Start(api, ("Storage__DataDirectory", Path.Combine(Folder, "store")), ("Storage__ModelsDirectory", Path.Combine(Folder, "store", "models")), ("BaseModels__MaxBytes", "20000000"), ("Datasets__MaxBytes", "1000000"));
        }

        public async ValueTask DisposeAsync()
        {
            await Service.DisposeAsync();
            Directory.Delete(Folder, recursive: true);
        }
    }
}
