using System.Net;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

public sealed class EstimateTests(Api api)
{
    [Fact]
    public async Task An_estimate_tells_the_parts_the_verdict_and_stores_nothing()
    {
        await api.Upload("rows.csv", "text,label\ngood,1\nbad,0\nfine,1\npoor,0\n", "estimated");

        var estimate = await api.Post("/jobs/estimate", Spec(extra: """, "name": "only estimated" """), HttpStatusCode.OK);

        var forecast = estimate["forecast"]!;
        Assert.Equal(1_875_330, (long)forecast["parameters"]!); // As finetune train tells of this model with its two classes.
        Assert.Equal(4 * 1_875_330, (long)forecast["trained_weight_bytes"]!);
        Assert.Equal(8 * 1_875_330, (long)forecast["optimizer_state_bytes"]!);
        Assert.True((long)forecast["activation_bytes"]! > 0);
        Assert.Equal((long)forecast["peak_bytes"]!, (long)forecast["tensor_bytes"]! + (long)forecast["process_bytes"]!);
        Assert.Equal(["load", "training_step", "optimizer_step", "evaluation", "checkpoint"], forecast["moments"]!.AsArray().Select(moment => (string)moment!["name"]!));
        Assert.True((long)estimate["available_bytes"]! > 0);
        Assert.Contains((string)estimate["verdict"]!, new[] { "fits", "tight", "does_not_fit" });
        Assert.Equal(0, await api.InDatabase(db => db.Jobs.CountAsync(job => job.Name == "only estimated", Api.Cancel)));
    }

    [Fact]
    public async Task What_cannot_fit_is_told_with_what_would()
    {
        await api.Upload("rows.csv", "text,label\n" + string.Concat(Enumerable.Range(0, 5000).Select(row => $"row {row},{row % 2}\n")), "many");

        var estimate = await api.Post("/jobs/estimate", Spec("many", """, "training": {"per_device_train_batch_size": 4096, "max_length": 128}"""), HttpStatusCode.OK);
        var least = await api.Post("/jobs/estimate", Spec("many", """, "training": {"per_device_train_batch_size": 1, "max_length": 128}"""), HttpStatusCode.OK);

        var peak = (long)estimate["forecast"]!["peak_bytes"]!;
        Assert.True(peak > 10 * (long)least["forecast"]!["peak_bytes"]!);
        if (peak > (long)estimate["available_bytes"]!) // 15 GB: a large machine has them.
        {
            Assert.Equal("does_not_fit", (string)estimate["verdict"]!);
            var change = estimate["smallest_change"]!;
            Assert.StartsWith("/training/", (string)change["edits"]![0]!["pointer"]!);
            Assert.True((long)change["peak_bytes"]! < peak);
        }
    }

    [Theory]
    [InlineData("""{"base_model": "../tiny-bert-en", "task": "text-classification", "dataset": {"train": "nowhere"}, "training": {"learning_rate": -1}, "epochs": 3}""")]
    [InlineData("""{"base_model": "tiny-bert-en", "task": "causal-lm", "dataset": {"train": "nowhere"}}""")]
    [InlineData("""{"task": "text-classification"}""")]
    [InlineData("no json")]
    public async Task Faults_are_those_of_posting_the_job(string body)
    {
        var posted = await api.Post("/jobs", body, HttpStatusCode.UnprocessableEntity);

        var estimated = await api.Post("/jobs/estimate", body, HttpStatusCode.UnprocessableEntity);

        Assert.NotEmpty(Api.Pointers(estimated));
        Assert.True(JsonNode.DeepEquals(posted["faults"], estimated["faults"]), estimated.ToJsonString());
    }

    [Fact]
    public async Task A_job_shows_what_it_was_expected_to_need_and_has_needed()
    {
        var id = await api.PutJob(JobStatus.Running);
        Assert.Null((await api.Get($"/jobs/{id}"))["memory"]);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.ForecastMemoryBytes, 900_000_000).SetProperty(row => row.PeakMemoryBytes, 870_000_000), Api.Cancel));

        var memory = (await api.Get($"/jobs/{id}"))["memory"]!;

        Assert.Equal((900_000_000, 870_000_000), ((long)memory["forecast_bytes"]!, (long)memory["peak_bytes"]!));
    }

    [Fact]
    public async Task The_time_is_that_of_the_last_job_like_it_and_of_the_base_if_it_is_asked_too()
    {
        var dataset = (string)(await api.Upload("lines.jsonl", string.Concat(Enumerable.Range(0, 10).Select(row => $$"""{"text": "line {{row}}"}""" + "\n"))))["id"]!;
        string Wanted(string extra = "") => $$"""{"base_model": "tiny-llama", "task": "causal-lm", "dataset": {"train": "{{dataset}}", "validation_split": 0}, "training": {"num_train_epochs": 2, "per_device_train_batch_size": 1{{extra}}} }""";
        Assert.Null((await api.Post("/jobs/estimate", Wanted(), HttpStatusCode.OK))["time"]);
        var earlier = await api.PutJob(JobStatus.Succeeded, $$"""{"base_model": "tiny-llama", "task": {"type": "causal-lm"}, "method": {"type": "full"}, "dataset": {"train": "{{dataset}}"}, "training": {} }""");
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == earlier).ExecuteUpdateAsync(job => job.SetProperty(row => row.RunSeconds, 60).SetProperty(row => row.Epoch, 3), Api.Cancel));

        var time = (await api.Post("/jobs/estimate", Wanted(), HttpStatusCode.OK))["time"]!;

        Assert.Equal((20, earlier, true), ((int)time["steps"]!, (string)time["job"]!, (bool)time["same_dataset"]!));
        Assert.Equal(40, (double)time["seconds"]!, 1e-9);
        Assert.Equal(40 * 4 / 3.0, (double)(await api.Post("/jobs/estimate", Wanted(""", "kl_to_base_weight": 0.1"""), HttpStatusCode.OK))["time"]!["seconds"]!, 1e-9);
    }

    private static string Spec(string dataset = "estimated", string extra = "") => $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{dataset}}"}{{extra}} }""";
}
