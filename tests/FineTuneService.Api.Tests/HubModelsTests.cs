using System.Net;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Hub.Tests;
using FineTuneService.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

/// <summary>Jobs whose base model is no folder: one of the hub, or a checkpoint of an earlier job.</summary>
public sealed class HubModelsTests(Api api)
{
    private static readonly Dictionary<string, byte[]> TinyBert = LocalHub.FilesOf(Path.Combine(Api.Output, "models", "tiny-bert-en"));

    [Fact]
    public async Task A_job_keeps_to_the_commit_that_its_revision_was_when_it_was_posted()
    {
        var commit = api.Hub.Push("acme/pinned", TinyBert);

        var job = await Post("acme/pinned", HttpStatusCode.Created);

        Assert.Equal(("acme/pinned", commit), ((string)job["spec"]!["base_model"]!, (string)job["spec"]!["revision"]!));
        var resolution = job["resolutions"]!.AsArray().Single(one => (string)one!["pointer"]! == "/revision")!;
        Assert.Equal(commit, (string)resolution["value"]!);
        Assert.Contains("main", (string)resolution["reason"]!, StringComparison.Ordinal);
        Assert.DoesNotContain("/revision", (await Post("acme/pinned", HttpStatusCode.Created, commit))["resolutions"]!.AsArray().Select(one => (string)one!["pointer"]!));
    }

    [Fact]
    public async Task What_depends_on_the_model_is_decided_without_its_weights()
    {
        api.Hub.Push("acme/judged", TinyBert);
        var local = await Post("tiny-bert-en", HttpStatusCode.Created);

        var job = await Post("acme/judged", HttpStatusCode.Created);

        Assert.Equal(3e-4, (double)local["spec"]!["training"]!["learning_rate"]!); // By the number of weights.
        Assert.Equal(local["spec"]!["training"]!.ToJsonString(), job["spec"]!["training"]!.ToJsonString());
        Assert.DoesNotContain(await Listed(), model => (string)model["name"]! == "acme/judged");
    }

    [Fact]
    public async Task A_fetched_model_is_listed_with_its_commit()
    {
        var commit = api.Hub.Push("acme/listed", TinyBert);
        await api.Services.GetRequiredService<ModelHub>().Fetch(HubModel.Parse("acme/listed", null), new(), Api.Cancel);

        var models = await Listed();

        var (listed, local) = (models.Single(model => (string)model["name"]! == "acme/listed"), models.Single(model => (string)model["name"]! == "tiny-bert-en"));
        Assert.Equal(commit, (string)listed["revision"]!);
        Assert.True((bool)listed["supported"]!);
        foreach (var same in new[] { "parameters", "vocab_size" })
            Assert.Equal(local[same]!.ToJsonString(), listed[same]!.ToJsonString());
        Assert.Equal(TinyBert.Values.Sum(file => file.Length), (long)listed["bytes"]!); // The local folder is one in which predictors of other tests write.
        Assert.Equal(TinyBert.Keys.Order(StringComparer.Ordinal), listed["files"]!.AsArray().Select(file => (string)file!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_local_folder_comes_first()
    {
        var asked = api.Hub.Requests.Count(request => request.Path.Contains("tiny-bert-en", StringComparison.Ordinal));

        var job = await Post("tiny-bert-en", HttpStatusCode.Created);

        Assert.Null(job["spec"]!["revision"]);
        Assert.Equal(asked, api.Hub.Requests.Count(request => request.Path.Contains("tiny-bert-en", StringComparison.Ordinal)));
        Assert.Equal(["/revision"], Api.Pointers(await Post("tiny-bert-en", HttpStatusCode.UnprocessableEntity, "main")));
    }

    [Theory]
    [InlineData("acme/nobody", null, "/base_model", "tiny-bert-en")]
    [InlineData("acme/known", "no-such-branch", "/revision", "branches")]
    [InlineData("acme/known", "../main", "/revision", "branch")]
    [InlineData("acme/pickled", null, "/base_model", "save_pretrained")]
    [InlineData("acme/strange", null, "/base_model", "GET /base-models")]
    [InlineData("acme/torn", null, "/base_model", "GET /base-models")]
    public async Task What_the_hub_has_not_or_we_cannot_use_is_told_with_all_other_faults(string id, string? revision, string pointer, string remedy)
    {
        api.Hub.Push("acme/known", TinyBert);
        api.Hub.Push("acme/pickled", TinyBert.Where(file => file.Key != "model.safetensors").Append(new("pytorch_model.bin", [1])));
        api.Hub.Push("acme/strange", TinyBert.Where(file => file.Key != "config.json").Append(new("config.json", """{"model_type": "strange"}"""u8.ToArray())));
        api.Hub.Push("acme/torn", TinyBert.Where(file => file.Key != "model.safetensors").Append(new("model.safetensors", TinyBert["model.safetensors"][..^100])));

        var body = $$"""{"base_model": "{{id}}", "revision": {{(revision is null ? "null" : $"\"{revision}\"")}}, "task": "text-classification", "dataset": {"train": "ds_0"} }""";
        var problem = await api.Post("/jobs", body.Replace("\"revision\": null, ", "", StringComparison.Ordinal), HttpStatusCode.UnprocessableEntity);

        Assert.Equal([pointer, "/dataset/train"], Api.Pointers(problem));
        Assert.Contains(remedy, (string)problem["faults"]![0]!["remedy"]!, StringComparison.Ordinal);
        Assert.DoesNotContain(api.Data, problem.ToJsonString(), StringComparison.Ordinal);
        Assert.DoesNotContain("finetune-preview", problem.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_hub_that_cannot_be_reached_is_not_the_users_fault()
    {
        api.Hub.Push("acme/away", TinyBert);
        api.Hub.Disturb = (context, request, _) =>
        {
            if (!request.Path.Contains("acme/away", StringComparison.Ordinal))
                return Task.FromResult(false);
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };

        var problem = await Post("acme/away", HttpStatusCode.ServiceUnavailable);

        Assert.Contains("acme/away", (string)problem["detail"]!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 10)]
    [InlineData("@best", 10)]
    [InlineData("@final", 20)]
    [InlineData("@20", 20)]
    public async Task A_checkpoint_of_an_ended_job_is_a_base(string which, int step)
    {
        var earlier = await WithCheckpoints(JobStatus.Cancelled);

        var job = await Post($"job:{earlier}{which}", HttpStatusCode.Created);

        Assert.Equal($"job:{earlier}@{step}", (string)job["spec"]!["base_model"]!);
        Assert.Equal(which == "@20" ? 0 : 1, job["resolutions"]!.AsArray().Count(one => (string)one!["pointer"]! == "/base_model"));
        Assert.Equal(3e-4, (double)job["spec"]!["training"]!["learning_rate"]!); // By the number of weights.
    }

    [Theory]
    [InlineData("{0}@30", JobStatus.Succeeded, "checkpoint")]
    [InlineData("{0}", JobStatus.Running, "running")]
    [InlineData("job_00000000000000000000000000000000", JobStatus.Succeeded, "job")]
    [InlineData("{0}/../x", JobStatus.Succeeded, "names no checkpoint")]
    public async Task A_checkpoint_that_is_not_to_be_had_is_a_fault(string name, JobStatus status, string told)
    {
        var earlier = await WithCheckpoints(status);

        var problem = await Post($"job:{string.Format(System.Globalization.CultureInfo.InvariantCulture, name, earlier)}", HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["/base_model"], Api.Pointers(problem));
        Assert.Contains(told, (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
    }

    private async Task<JsonObject> Post(string baseModel, HttpStatusCode expected, string? revision = null)
    {
        var dataset = (string)(await api.Upload("rows.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        var given = revision is null ? "" : $"\"revision\": \"{revision}\", ";
        return await api.Post("/jobs", $$"""{"base_model": "{{baseModel}}", {{given}}"task": "text-classification", "dataset": {"train": "{{dataset}}"}, "training": {"learning_rate": "auto", "max_length": "auto"} }""", expected);
    }

    private async Task<List<JsonNode>> Listed() => [.. (await api.Get("/base-models"))["data"]!.AsArray().Select(model => model!)];

    /// <summary>Steps 10 (best) and 20 (final), each with the small model in it.</summary>
    private async Task<string> WithCheckpoints(JobStatus status)
    {
        var id = await api.PutJob(status);
        foreach (var step in new[] { 10, 20 })
        {
            var folder = Directory.CreateDirectory(api.Storage.Run(id).Checkpoint(step)).FullName;
            foreach (var (name, content) in TinyBert)
                await File.WriteAllBytesAsync(Path.Combine(folder, name), content, Api.Cancel);
        }
        await api.InDatabase(db =>
        {
            db.Checkpoints.AddRange(new[] { 10, 20 }.Select(step => new Checkpoint
            {
                JobId = id,
                Step = step,
                Epoch = step,
                Path = $"checkpoints/checkpoint-{step}",
                Bytes = 1,
                Best = step == 10,
                Final = step == 20,
                Metrics = "{}",
                CreatedAt = TimeProvider.System.GetUtcNow(),
            }));
            return db.SaveChangesAsync(Api.Cancel);
        });
        return id;
    }
}
