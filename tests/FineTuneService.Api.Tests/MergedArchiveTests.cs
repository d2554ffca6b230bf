using System.Formats.Tar;
using System.Net;
using System.Text.Json.Nodes;

namespace FineTuneService.Api.Tests;

/// <summary>An adapter of PEFT on its golden base, merged by the real <c>finetune merge</c>; that the result predicts as it should is told by the whole house's tests.</summary>
public sealed class MergedArchiveTests(Api api)
{
    [Fact]
    public async Task A_merge_is_made_once_for_all_who_ask()
    {
        var (id, folder) = await WithAdapter();

        var archives = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Names(id)));

        Assert.All(archives, names => Assert.Equal(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"], names));
        Assert.Equal(archives[0], await Names(id));
        Assert.Single(Merges(folder));
        Assert.Contains("adapter_model.safetensors", await Names(id, merged: false));
    }

    [Fact]
    public async Task A_checkpoint_that_is_written_again_is_merged_again()
    {
        var (id, folder) = await WithAdapter();
        await Names(id);

        var weights = Path.Combine(folder, "adapter_model.safetensors");
        File.SetLastWriteTimeUtc(weights, File.GetLastWriteTimeUtc(weights).AddSeconds(1));
        await Names(id);

        Assert.Equal(2, Merges(folder).Length);
        Assert.Single(Directory.EnumerateDirectories(api.Storage.Run(id).Merged));
    }

    [Fact]
    public async Task An_adapter_whose_base_has_gone_is_told_and_merged_when_it_is_back()
    {
        var (id, folder) = await WithAdapter(baseModel: "nowhere");

        var problem = await Api.Read(await Archive(id), HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["?merged"], Api.Pointers(problem));
        Assert.Contains("base model of this adapter was not found", (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
        Assert.DoesNotContain(api.Data, problem.ToJsonString(), StringComparison.Ordinal);
        NameBase(id, "bert-seqcls");
        Assert.Contains("model.safetensors", await Names(id));
        Assert.Equal(2, Merges(folder).Length);
    }

    [Fact]
    public async Task A_merge_that_breaks_off_is_told_and_leaves_nothing()
    {
        var (id, folder) = await WithAdapter();
        File.WriteAllText(Path.Combine(folder, "breaks-off"), "");

        var problem = await Api.Read(await Archive(id), HttpStatusCode.ServiceUnavailable);

        Assert.Contains("broke off", (string)problem["detail"]!, StringComparison.Ordinal);
        Assert.DoesNotContain("last words are", problem.ToJsonString(), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(api.Storage.Run(id).Merged));
    }

    [Fact]
    public async Task A_whole_checkpoint_is_merged_already()
    {
        var (id, folder) = await api.PutCheckpoint();
        File.WriteAllText(Path.Combine(folder, "config.json"), "{}");

        using var merged = await Archive(id);
        using var plain = await Archive(id, merged: false);

        Assert.Equal(await plain.Content.ReadAsByteArrayAsync(Api.Cancel), await merged.Content.ReadAsByteArrayAsync(Api.Cancel));
        Assert.False(File.Exists(Path.Combine(folder, "starts")));
    }

    private static string[] Merges(string folder) => File.ReadAllLines(Path.Combine(folder, "starts"));

    private Task<HttpResponseMessage> Archive(string id, bool merged = true) => api.Http.GetAsync($"/jobs/{id}/checkpoints/best/archive?merged={merged}", Api.Cancel);

    private async Task<IEnumerable<string>> Names(string id, bool merged = true)
    {
        using var response = await Archive(id, merged);
        if (!response.IsSuccessStatusCode)
            Assert.Fail(await response.Content.ReadAsStringAsync(Api.Cancel));
        using var tar = new TarReader(await response.Content.ReadAsStreamAsync(Api.Cancel));
        var names = new List<string>();
        while (await tar.GetNextEntryAsync(cancellationToken: Api.Cancel) is { } entry)
            names.Add(entry.Name[$"{id}-checkpoint-7{(merged ? "-merged" : "")}/".Length..]);
        return names;
    }

    private async Task<(string Id, string Folder)> WithAdapter(string baseModel = "bert-seqcls")
    {
        var (id, folder) = await api.PutCheckpoint();
        var models = Path.Combine(Api.Output, "models");
        foreach (var file in Directory.EnumerateFiles(Path.Combine(models, "lora-bert-seqcls-0"), "adapter*").Concat(Directory.EnumerateFiles(Path.Combine(models, "tiny-bert-en")).Where(file => Path.GetFileName(file)[0] is 't' or 'v')))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        NameBase(id, baseModel);
        return (id, folder);
    }

    /// <summary>Where the run found it.</summary>
    private void NameBase(string id, string model) => File.WriteAllText(api.Storage.Run(id).Job, new JsonObject { ["base_model"] = Path.Combine(Api.Output, "models", model) }.ToJsonString());
}
