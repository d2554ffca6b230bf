using System.Formats.Tar;
using System.IO.Compression;
using System.Net;
using System.Text.Json.Nodes;

namespace FineTuneService.Api.Tests;

public sealed class ImportBaseModelTests(Api api)
{
    private static readonly Dictionary<string, byte[]> TinyBert =
        Directory.EnumerateFiles(Path.Combine(Api.Output, "models", "tiny-bert-en")).ToDictionary(path => Path.GetFileName(path), File.ReadAllBytes);

    [Theory]
    [InlineData("flat.tar", "")]
    [InlineData("dotted.tar", "./")]
    [InlineData("foldered.tar.gz", "some-model/")]
    [InlineData("zipped.zip", "")]
    [InlineData("foldered-zip.zip", "some-model/")]
    public async Task A_folder_becomes_a_base_model(string fileName, string prefix)
    {
        var name = fileName.Split('.')[0];
        var extra = new Dictionary<string, byte[]> { ["README.md"] = [1], ["pytorch_model.bin"] = [2], ["optimizer.pt"] = [3], ["1_Pooling/config.json"] = [4], [".git/config"] = [5] };

        var model = await Send(fileName, Pack(fileName, TinyBert.Concat(extra).ToDictionary(file => prefix + file.Key, file => file.Value)), HttpStatusCode.Created);

        Assert.Equal((name, true), ((string)model["name"]!, (bool)model["supported"]!));
        Assert.Equal(TinyBert.Keys.Order(StringComparer.Ordinal), Directory.EnumerateFileSystemEntries(Path.Combine(api.Models, name)).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
        Assert.Equal(TinyBert["model.safetensors"], await File.ReadAllBytesAsync(Path.Combine(api.Models, name, "model.safetensors"), Api.Cancel));
        Assert.Contains((await api.Get("/base-models"))["data"]!.AsArray(), listed => (string)listed!["name"]! == name);
        NothingIsLeft();
    }

    [Fact]
    public async Task A_name_may_have_an_organisation_and_is_taken_once()
    {
        await Send("x.tar", Pack("x.tar", TinyBert), HttpStatusCode.Created, "acme/imported");

        var problem = await Send("x.tar", Pack("x.tar", TinyBert), HttpStatusCode.Conflict, "acme/imported");

        Assert.Contains("acme/imported", (string)problem["detail"]!, StringComparison.Ordinal);
        NothingIsLeft();
    }

    [Theory]
    [InlineData("../evil")]
    [InlineData(".hidden")]
    [InlineData("a/b/c")]
    [InlineData("job:x")]
    public async Task A_name_stays_within_the_models_directory(string name) =>
        Assert.Equal(["name"], Api.Pointers(await Send("x.tar", Pack("x.tar", TinyBert), HttpStatusCode.UnprocessableEntity, name)));

    [Theory]
    [InlineData("up.tar", "../config.json")]
    [InlineData("deep.tar.gz", "a/../../config.json")]
    [InlineData("absolute.tar", "/tmp/config.json")]
    [InlineData("up.zip", "../config.json")]
    [InlineData("windows.zip", "..\\config.json")]
    public async Task A_name_that_leads_out_spoils_the_archive(string fileName, string entry)
    {
        var problem = await Send(fileName, Pack(fileName, TinyBert.Append(new(entry, [1])).ToDictionary()), HttpStatusCode.UnprocessableEntity);

        Assert.Contains("outside", (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(api.Models, fileName.Split('.')[0])));
        NothingIsLeft();
    }

    [Theory]
    [InlineData(TarEntryType.SymbolicLink)]
    [InlineData(TarEntryType.HardLink)]
    [InlineData(TarEntryType.Fifo)]
    public async Task A_link_spoils_the_archive(TarEntryType type)
    {
        using var archive = new MemoryStream();
        using (var tar = new TarWriter(archive, leaveOpen: true))
        {
            var entry = new PaxTarEntry(type, "vocab.txt");
            if (type != TarEntryType.Fifo)
                entry.LinkName = "/etc/passwd";
            tar.WriteEntry(entry);
        }

        var problem = await Send("link.tar", archive.ToArray(), HttpStatusCode.UnprocessableEntity);

        Assert.Contains("neither file nor folder", (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_link_in_a_zip_spoils_it()
    {
        using var archive = new MemoryStream();
        using (var zip = new ZipArchive(archive, ZipArchiveMode.Create, leaveOpen: true))
            zip.CreateEntry("vocab.txt").ExternalAttributes = unchecked((int)0xA1FF0000); // S_IFLNK

        await Send("link.zip", archive.ToArray(), HttpStatusCode.UnprocessableEntity);
    }

    [Theory]
    [InlineData("bomb.zip", "model.safetensors")]
    [InlineData("bomb.tar.gz", "model.safetensors")]
    [InlineData("bomb.tar.gz", "never-needed.md")]
    public async Task What_unpacks_to_more_than_the_limit_is_refused(string fileName, string entry)
    {
        var files = TinyBert.Where(file => file.Key != entry).Append(new(entry, new byte[Api.ModelBytes + 1])).ToDictionary();
        var packed = Pack(fileName, files);
        Assert.True(packed.Length < Api.ModelBytes);

        await Send(fileName, packed, HttpStatusCode.RequestEntityTooLarge);

        NothingIsLeft();
    }

    [Fact]
    public async Task Too_many_entries_are_refused()
    {
        var problem = await Send("many.zip", Pack("many.zip", Enumerable.Range(0, 10_001).ToDictionary(i => $"{i}", _ => Array.Empty<byte>())), HttpStatusCode.UnprocessableEntity);

        Assert.Contains("10000 entries", (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("pickle", "pickled")]
    [InlineData("no-config", "config.json")]
    [InlineData("two-models", "more than one")]
    [InlineData("strange", "family")]
    [InlineData("torn", "MetadataIncompleteBuffer")]
    [InlineData("no-tokenizer", "tokenizer")]
    [InlineData("twice", "twice")]
    public async Task What_is_no_model_that_can_be_trained_is_refused_with_the_reason(string kind, string told)
    {
        var without = TinyBert.Where(file => file.Key != "model.safetensors");
        var files = kind switch
        {
            "pickle" => without.Append(new("pytorch_model.bin", [1])),
            "no-config" => TinyBert.Where(file => file.Key != "config.json"),
            "two-models" => TinyBert.Select(file => KeyValuePair.Create("a/" + file.Key, file.Value)).Concat(TinyBert.Select(file => KeyValuePair.Create("b/" + file.Key, file.Value))),
            "strange" => TinyBert.Where(file => file.Key != "config.json").Append(new("config.json", """{"model_type": "strange"}"""u8.ToArray())),
            "torn" => without.Append(new("model.safetensors", TinyBert["model.safetensors"][..^1])),
            "no-tokenizer" => TinyBert.Where(file => file.Key is "config.json" or "model.safetensors"),
            _ => TinyBert.Append(new("./vocab.txt", [1])),
        };

        var problem = await Send($"no-{kind}.tar", Pack($"no-{kind}.tar", files.ToDictionary()), HttpStatusCode.UnprocessableEntity);

        Assert.Contains(told, (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
        Assert.DoesNotContain(api.Data, problem.ToJsonString(), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(api.Models, $"no-{kind}")));
        NothingIsLeft();
    }

    [Theory]
    [InlineData("x.tar", "no archive at all, but long enough to be read as a header of one, which has five hundred and twelve bytes ")]
    [InlineData("x.tar.gz", "no archive")]
    [InlineData("x.zip", "no archive")]
    [InlineData("x.rar", "no archive")]
    public async Task What_is_no_archive_is_refused(string fileName, string content) =>
        await Send(fileName, System.Text.Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(content, 10))), HttpStatusCode.UnprocessableEntity);

    private async Task<JsonObject> Send(string fileName, byte[] archive, HttpStatusCode expected, string? name = null) =>
        await Api.Read(await api.Http.PostAsync("/base-models", Api.Form(fileName, archive, name), Api.Cancel), expected);

    private void NothingIsLeft() => Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(api.Models, ".drafts")));

    private static byte[] Pack(string fileName, Dictionary<string, byte[]> files)
    {
        using var packed = new MemoryStream();
        if (fileName.EndsWith(".zip", StringComparison.Ordinal))
        {
            using var zip = new ZipArchive(packed, ZipArchiveMode.Create, leaveOpen: true);
            foreach (var (name, content) in files)
                using (var entry = zip.CreateEntry(name, CompressionLevel.Fastest).Open())
                    entry.Write(content);
        }
        else
        {
            using Stream stream = fileName.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true) : packed;
            using var tar = new TarWriter(stream, leaveOpen: true);
            foreach (var (name, content) in files)
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(content) });
        }
        return packed.ToArray();
    }
}
