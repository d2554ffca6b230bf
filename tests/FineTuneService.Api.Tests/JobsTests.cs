using System.Net;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

[Collection("datasets of the samples, by their names")]
public sealed class JobsTests(Api api)
{
    [Fact]
    public async Task The_example_of_the_document_is_the_sample_job_and_runs()
    {
        var document = await api.Get("/swagger/v1/swagger.json");
        var example = document["paths"]!["/jobs"]!["post"]!["requestBody"]!["content"]!["application/json"]!["example"]!;
        var sample = File.ReadAllText(Path.Combine(Api.Output, "samples", "sst2-sentiment.json")).Replace("${", "", StringComparison.Ordinal).Replace("}\"", "\"", StringComparison.Ordinal);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(sample), example), example.ToJsonString());
        var ids = new Dictionary<string, string>();
        foreach (var split in new[] { "train", "dev", "test" })
            ids[split] = (string)(await api.Upload($"{split}.tsv", File.ReadAllText(Path.Combine(Api.Output, "samples", $"{split}.tsv")), $"sst2/{split}.tsv"))["id"]!;

        var job = await api.Post("/jobs", example.ToJsonString(), HttpStatusCode.Created);

        Assert.Equal("queued", (string)job["status"]!);
        Assert.Equal((ids["train"], ids["dev"], ids["test"]), ((string)job["spec"]!["dataset"]!["train"]!, (string)job["spec"]!["dataset"]!["validation"]!, (string)job["spec"]!["dataset"]!["test"]!));
        Assert.Equal("text", (string)job["spec"]!["dataset"]!["text_column"]!);
        Assert.Contains(job["resolutions"]!.AsArray(), chosen => (string)chosen!["pointer"]! == "/dataset/text_column");
        Assert.Equal(job["spec"]!.ToJsonString(), (await api.Get($"/jobs/{job["id"]}"))["spec"]!.ToJsonString());
    }

    [Fact]
    public async Task A_job_is_created_at_its_location_with_its_first_event()
    {
        var dataset = (string)(await api.Upload("rows.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        using var body = new StringContent($$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{dataset}}"} }""", System.Text.Encoding.UTF8, "application/json");
        using var response = await api.Http.PostAsync("/jobs", body, Api.Cancel);
        var job = await Api.Read(response, HttpStatusCode.Created);

        Assert.Equal($"/jobs/{job["id"]}", response.Headers.Location!.ToString());
        var events = (await api.Get($"{response.Headers.Location}/events"))["data"]!.AsArray();
        Assert.Equal("queued", (string)Assert.Single(events)!["data"]!["status"]!);
    }

    [Fact]
    public async Task Every_fault_of_document_model_and_data_is_told_at_once()
    {
        await api.Upload("two.csv", "sentence,label\ngood,1\nbad,0\n", "all-faults");

        var problem = await api.Post("/jobs", """
            {"base_model": "../tiny-bert-en", "task": "text-classification", "dataset": {"train": "all-faults", "validation": "ds_0", "text_column": "text"},
             "training": {"learning_rate": -1}, "epochs": 3}
            """, HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["/training/learning_rate", "/epochs", "/base_model", "/dataset/validation", "/dataset/text_column"], Api.Pointers(problem));
        Assert.All(problem["faults"]!.AsArray(), fault => Assert.True(((string)fault!["message"]!).Length > 0 && ((string)fault["remedy"]!).Length > 0));
        Assert.Equal("-1", (string)problem["faults"]![0]!["value"]!);
        Assert.DoesNotContain((await api.Get("/jobs?limit=200"))["data"]!.AsArray(), job => (string)job!["spec"]!["dataset"]!["train"]! == "all-faults");
    }

    [Theory]
    [InlineData("text,label\ngood,1\nfine,1\n", "", "/dataset/label_column", "same label")]
    [InlineData("text,label\ngood,often\nfine,0.5\n", "\"regression\"", "/dataset/label_column", "often")]
    [InlineData("text,label\n,1\n,0\n", "", "/dataset/text_column", "empty")]
    [InlineData("body,mark\na,1\nb,0\n", "", "/dataset/text_column", "body, mark")]
    public async Task Data_that_cannot_be_learnt_is_refused_before_a_job_exists(string csv, string problemType, string pointer, string told)
    {
        var dataset = (string)(await api.Upload("rows.csv", csv))["id"]!;
        var task = problemType.Length == 0 ? "\"text-classification\"" : $$"""{"type": "text-classification", "problem_type": {{problemType}}}""";

        var problem = await api.Post("/jobs", $$"""{"base_model": "tiny-bert-en", "task": {{task}}, "dataset": {"train": "{{dataset}}"} }""", HttpStatusCode.UnprocessableEntity);

        Assert.Equal(pointer, Api.Pointers(problem).First());
        Assert.Contains(told, problem["faults"]![0]!.ToJsonString());
    }

    [Fact]
    public async Task A_split_without_the_columns_of_the_training_data_is_refused()
    {
        var train = (string)(await api.Upload("a.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        var other = (string)(await api.Upload("b.csv", "text,mark\ngood,1\nbad,0\n"))["id"]!;

        var problem = await api.Post("/jobs", $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{train}}", "test": "{{other}}"} }""", HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["/dataset/test"], Api.Pointers(problem));
    }

    [Theory]
    [InlineData("truncated", "MetadataIncompleteBuffer")]
    [InlineData("hostile", "HeaderTooLarge")]
    [InlineData("pickled", "safetensors")]
    [InlineData("strange", "family")]
    public async Task A_base_model_that_cannot_be_read_is_refused_with_the_reason(string kind, string told)
    {
        var folder = api.CopyModel(kind);
        var weights = Path.Combine(folder, "model.safetensors");
        switch (kind)
        {
            case "truncated":
                File.WriteAllBytes(weights, File.ReadAllBytes(weights)[..^100]);
                break;
            case "hostile":
                File.WriteAllBytes(weights, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, (byte)'{']);
                break;
            case "pickled":
                File.Move(weights, Path.Combine(folder, "pytorch_model.bin"));
                break;
            default:
                File.WriteAllText(Path.Combine(folder, "config.json"), """{"model_type": "strange"}""");
                break;
        }
        var dataset = (string)(await api.Upload("rows.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;

        var problem = await api.Post("/jobs", $$"""{"base_model": "{{kind}}", "task": "text-classification", "dataset": {"train": "{{dataset}}"} }""", HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["/base_model"], Api.Pointers(problem));
        Assert.Contains(told, (string)problem["faults"]![0]!["message"]!);
        Assert.DoesNotContain(api.Data, problem.ToJsonString());
        var listed = (await api.Get("/base-models"))["data"]!.AsArray().Single(model => (string)model!["name"]! == kind)!;
        Assert.False((bool)listed["supported"]!);
        Assert.Contains(told, (string)listed["why_not"]!);
    }

    [Fact]
    public async Task Jobs_are_listed_by_status_page_by_page()
    {
        var failed = new[] { await api.PutJob(JobStatus.Failed), await api.PutJob(JobStatus.Failed), await api.PutJob(JobStatus.Failed) };
        await api.PutJob(JobStatus.Succeeded);

        var (found, after) = (new List<string>(), "");
        JsonObject page;
        do
        {
            page = await api.Get($"/jobs?status=failed&limit=2{after}");
            found.AddRange(page["data"]!.AsArray().Select(job => (string)job!["id"]!));
            after = $"&after={page["next_after"]}";
        }
        while ((bool)page["has_more"]!);

        Assert.Equal(failed.Reverse(), found.Where(failed.Contains));
        Assert.Equal(found.Distinct(), found);
        Assert.All((await api.Get("/jobs?status=failed,succeeded"))["data"]!.AsArray(), job => Assert.Contains((string)job!["status"]!, new[] { "failed", "succeeded" }));
    }

    [Fact]
    public async Task Progress_tells_how_far_a_job_is()
    {
        var id = await api.PutJob(JobStatus.Running);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(
            job => job.SetProperty(row => row.Step, 25).SetProperty(row => row.TotalSteps, 100).SetProperty(row => row.EtaSeconds, 7.5)
                .SetProperty(row => row.BestMetric, 0.75).SetProperty(row => row.BestMetricName, "accuracy").SetProperty(row => row.BestStep, 20), Api.Cancel));

        var job = await api.Get($"/jobs/{id}");

        Assert.Equal("""{"step":25,"total_steps":100,"percent":25,"epoch":0,"eta_seconds":7.5}""", job["progress"]!.ToJsonString());
        Assert.Equal("""{"name":"accuracy","value":0.75,"step":20}""", job["best"]!.ToJsonString());
    }

    [Fact]
    public async Task A_queued_job_is_cancelled_at_once()
    {
        var id = await api.PostJob();

        var cancelled = await api.Post($"/jobs/{id}/cancel", "", HttpStatusCode.OK);

        Assert.Equal("cancelled", (string)cancelled["status"]!);
        Assert.NotNull(cancelled["finished_at"]);
        Assert.Equal(["queued", "cancelled"], (await api.Get($"/jobs/{id}/events"))["data"]!.AsArray().Select(happened => (string)happened!["data"]!["status"]!));
        await api.Post($"/jobs/{id}/cancel", "", HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task A_running_job_is_told_to_stop()
    {
        var id = await api.PutJob(JobStatus.Running);

        var told = await api.Post($"/jobs/{id}/cancel", "", HttpStatusCode.Accepted);

        Assert.Equal("running", (string)told["status"]!);
        Assert.NotNull(told["cancel_requested_at"]);
        Assert.Equal((DateTimeOffset)told["cancel_requested_at"]!, (DateTimeOffset)(await api.Get($"/jobs/{id}"))["cancel_requested_at"]!, TimeSpan.FromMicroseconds(1));
        await api.Post($"/jobs/{id}/cancel", "", HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task A_job_that_is_unknown_or_has_ended_is_not_cancelled()
    {
        await api.Post("/jobs/job_0/cancel", "", HttpStatusCode.NotFound);
        Assert.Contains("succeeded", (string)(await api.Post($"/jobs/{await api.PutJob(JobStatus.Succeeded)}/cancel", "", HttpStatusCode.Conflict))["detail"]!);
    }

    [Fact]
    public async Task Samples_show_what_is_learnt()
    {
        var id = await api.PutJob(JobStatus.Running);
        Assert.Empty((await api.Get($"/jobs/{id}/samples"))["data"]!.AsArray());
        var file = api.Storage.Run(id).Samples;
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        await File.WriteAllTextAsync(file, """{"name":"text","tokens":[{"id":1,"token":"BOS","weight":0},{"id":7,"token":"Hi","weight":1}]}""" + "\n", Api.Cancel);

        var sample = Assert.Single((await api.Get($"/jobs/{id}/samples"))["data"]!.AsArray())!;

        Assert.Equal("""[{"id":1,"token":"BOS","weight":0},{"id":7,"token":"Hi","weight":1}]""", sample["tokens"]!.ToJsonString());
    }

    [Theory]
    [InlineData("/jobs/job_0")]
    [InlineData("/jobs/job_0/metrics")]
    [InlineData("/jobs/job_0/events")]
    [InlineData("/jobs/job_0/samples")]
    [InlineData("/jobs/job_0/checkpoints")]
    [InlineData("/jobs/job_0/checkpoints/best/files")]
    public async Task An_unknown_job_is_not_found(string path) => Assert.Contains("job_0", (string)(await api.Get(path, HttpStatusCode.NotFound))["detail"]!);
}
