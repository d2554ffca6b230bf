using System.Text.RegularExpressions;

namespace FineTuneService.Hub.Tests;

/// <summary>What is fetched, and how it lies in the cache.</summary>
public sealed class SnapshotTests : HubTest
{
    [Fact]
    public async Task A_model_lies_in_the_layout_of_the_hubs_own_cache()
    {
        var progress = new DownloadProgress();

        var snapshot = await Hub().Fetch(Model(), progress, Cancel);

        Assert.Equal(new(Id, Commit, Path.Combine(Cache, "models--acme--tiny-bert", "snapshots", Commit)), snapshot);
        Assert.Equal(Commit, File.ReadAllText(Path.Combine(Cache, "models--acme--tiny-bert", "refs", "main")));
        foreach (var (name, content) in TinyBert)
        {
            Assert.Equal($"../../blobs/{LocalHub.Etag(name, content)}", new FileInfo(Path.Combine(snapshot.Path, name)).LinkTarget);
            Assert.Equal(content, File.ReadAllBytes(Path.Combine(snapshot.Path, name)));
        }
        Assert.Equal((TinyBert.Values.Sum(file => file.Length), TinyBert.Values.Sum(file => file.Length)), (progress.Done, progress.Total));
        Assert.DoesNotContain(Directory.EnumerateFiles(Cache, "*", SearchOption.AllDirectories), path => path.EndsWith(".incomplete", StringComparison.Ordinal) || path.EndsWith(".draft", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_is_cached_is_not_fetched_again()
    {
        await Fetch();
        var before = Server.Requests.Count;

        await Fetch();

        Assert.Equal([$"/api/models/{Id}/revision/main"], Server.Requests.Skip(before).Select(request => request.Path));
    }

    [Fact]
    public async Task A_commit_stays_what_it_was_when_the_branch_moves()
    {
        await Fetch();
        var moved = Server.Push(Id, TinyBert.Append(new("generation_config.json", "{}"u8.ToArray())));

        var pinned = await Fetch(revision: Commit);
        var fresh = await Fetch();

        Assert.Equal((Commit, moved), (pinned.Commit, fresh.Commit));
        Assert.False(File.Exists(Path.Combine(pinned.Path, "generation_config.json")));
        Assert.Equal("{}", File.ReadAllText(Path.Combine(fresh.Path, "generation_config.json")));
        Assert.Equal(new[] { Commit, moved }.Order(StringComparer.Ordinal), Hub().Cached().Select(snapshot => snapshot.Commit));
    }

    [Fact]
    public async Task Only_what_a_model_needs_is_fetched()
    {
        Server.Push(Id, TinyBert.Concat(new Dictionary<string, byte[]>
        {
            ["README.md"] = "x"u8.ToArray(),
            ["pytorch_model.bin"] = "x"u8.ToArray(),
            ["model.fp16.safetensors"] = Safetensors("t", 1),
            ["onnx/model.onnx"] = "x"u8.ToArray(),
            ["model.safetensors.index.json"] = """{"weight_map": {"t": "model-00001-of-00001.safetensors"}}"""u8.ToArray(),
            ["model-00001-of-00001.safetensors"] = Safetensors("t", 1),
            ["additional_chat_templates/rag.jinja"] = "{{ x }}"u8.ToArray(),
        }));

        var snapshot = await Fetch();

        Assert.Equal(
            TinyBert.Keys.Append("additional_chat_templates/rag.jinja").Order(StringComparer.Ordinal),
            Directory.EnumerateFiles(snapshot.Path, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(snapshot.Path, path)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Shards_are_those_that_the_index_names()
    {
        Server.Push(Id, TinyBert.Where(file => file.Key != "model.safetensors").Concat(new Dictionary<string, byte[]>
        {
            ["model.safetensors.index.json"] = """{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}"""u8.ToArray(),
            ["part-1.safetensors"] = Safetensors("a", 1000),
            ["part-2.safetensors"] = Safetensors("b", 1000),
            ["part-3.safetensors"] = Safetensors("c", 1000),
        }));

        var snapshot = await Fetch();

        Assert.Equal(["part-1.safetensors", "part-2.safetensors"], Directory.EnumerateFiles(snapshot.Path, "part-*").Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal([snapshot], Hub().Cached());
        File.Delete(Path.Combine(snapshot.Path, "part-2.safetensors"));
        Assert.Empty(Hub().Cached());
    }

    [Fact]
    public async Task A_preview_has_headers_and_sizes_and_no_weights()
    {
        var folder = Directory.CreateDirectory(Path.Combine(Folder, "preview")).FullName;

        var snapshot = await Hub().Preview(Model(), folder, Cancel);

        Assert.Equal((Commit, folder), (snapshot.Commit, snapshot.Path));
        Assert.Equal(TinyBert["config.json"], File.ReadAllBytes(Path.Combine(folder, "config.json")));
        var head = File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));
        Assert.Equal(Weights.Length, head.Length);
        var header = 8 + (int)BitConverter.ToUInt64(Weights);
        Assert.Equal(Weights[..header], head[..header]);
        Assert.All(head[(256 << 10)..], value => Assert.Equal(0, value));
        Assert.Equal(["bytes=0-262143"], Server.Requests.Where(request => request.Cdn).Select(request => request.Range));
        Assert.Empty(Hub().Cached());
    }

    [Fact]
    public async Task A_header_longer_than_the_first_look_is_read_whole()
    {
        var weights = Safetensors(new string('t', 300_000), 10);
        Server.Push(Id, TinyBert.Where(file => file.Key != "model.safetensors").Append(new("model.safetensors", weights)));
        var folder = Directory.CreateDirectory(Path.Combine(Folder, "preview")).FullName;

        await Hub().Preview(Model(), folder, Cancel);

        Assert.Equal(weights[..^10], File.ReadAllBytes(Path.Combine(folder, "model.safetensors"))[..^10]);
    }

    [Fact]
    public async Task Offline_the_cache_is_enough_and_nobody_is_asked()
    {
        var snapshot = await Fetch();
        var before = Server.Requests.Count;

        Assert.Equal(snapshot, await Fetch(Hub(offline: true)));
        Assert.Equal(snapshot, await Fetch(Hub(offline: true), revision: Commit));

        Assert.Equal(before, Server.Requests.Count);
    }

    [Fact]
    public async Task Offline_a_snapshot_that_is_missing_or_torn_is_a_fault()
    {
        var missing = await FaultOf(() => Fetch(Hub(offline: true)));
        Assert.Equal(("/base_model", Id), (missing.Pointer, missing.Value));
        Assert.Contains("Hub:Offline", missing.Message, StringComparison.Ordinal);

        await Fetch();
        File.Delete(Blob("model.safetensors")); // Its link stays.
        await FaultOf(() => Fetch(Hub(offline: true)));
    }

    [Fact]
    public async Task Without_a_hub_only_a_commit_that_is_cached_whole_is_served()
    {
        var snapshot = await Fetch();
        await Server.DisposeAsync();

        Assert.Equal(snapshot, await Fetch(Hub(retries: 1), revision: Commit));
        await Assert.ThrowsAsync<HubUnreachableException>(() => Fetch(Hub(retries: 1)));
    }

    [Fact]
    public async Task A_mirror_that_lists_neither_size_nor_hash_is_asked_for_them()
    {
        Server.Listing = json => Regex.Replace(json, """("rfilename": "[^"]+")[^{}]*({[^}]*} )?}""", "$1}");

        var snapshot = await Fetch();

        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot.Path, "model.safetensors")));
        Assert.Equal(TinyBert.Count, Server.Requests.Count(request => request.Method == "HEAD" && !request.Cdn));
        Assert.DoesNotContain(Server.Requests, request => request.Method == "HEAD" && request.Cdn);
    }

    [Fact]
    public async Task A_beginning_of_another_process_is_continued()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Blob("model.safetensors"))!);
        await File.WriteAllBytesAsync(Blob("model.safetensors") + ".incomplete", Weights[..1_000_000], Cancel);

        var snapshot = await Fetch();

        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot.Path, "model.safetensors")));
        Assert.Equal(["bytes=1000000-"], Server.Requests.Where(request => request.Cdn).Select(request => request.Range));
    }

    [Fact]
    public async Task A_spoilt_beginning_is_thrown_away_and_fetched_anew()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Blob("model.safetensors"))!);
        await File.WriteAllBytesAsync(Blob("model.safetensors") + ".incomplete", new byte[1_000_000], Cancel);

        var snapshot = await Fetch();

        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot.Path, "model.safetensors")));
        Assert.Equal(["bytes=1000000-", null], Server.Requests.Where(request => request.Cdn).Select(request => request.Range));
    }

    [Theory]
    [InlineData("bert-base-uncased", true)]
    [InlineData("google-bert/bert-base-uncased", true)]
    [InlineData("a/b/c", false)]
    [InlineData("../models", false)]
    [InlineData("acme/..", false)]
    [InlineData("acme/tiny--bert", false)]
    [InlineData(".hidden/x", false)]
    [InlineData("acme/tiny.git", false)]
    [InlineData("acme/tiny bert", false)]
    [InlineData("", false)]
    public void An_id_is_what_the_hub_would_accept(string id, bool accepted) => Assert.Equal(accepted, HubModel.IsId(id));

    [Theory]
    [InlineData("main", true)]
    [InlineData("refs/pr/1", true)]
    [InlineData("v1.0", true)]
    [InlineData("../../x", false)]
    [InlineData("/etc", false)]
    [InlineData("a//b", false)]
    [InlineData("a b", false)]
    public async Task A_revision_leads_nowhere_else(string revision, bool accepted)
    {
        if (accepted)
            Assert.Equal(revision, Model(revision).Revision);
        else
            Assert.Equal("/revision", (await FaultOf(() => Task.FromResult(Model(revision)))).Pointer);
    }

}
