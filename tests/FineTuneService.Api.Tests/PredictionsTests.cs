using System.Net;
using System.Text.Json;
using FineTuneService.Api.WarmModels;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Tests;

/// <summary>Against a real process that speaks the protocol, Fixtures/predictor.sh.</summary>
[Collection(WarmModels)]
public sealed class PredictionsTests(Api api)
{
    /// <summary>Tests that count processes take turns: only two models stay warm.</summary>
    public const string WarmModels = "warm models";

    [Fact]
    public async Task Texts_and_pairs_are_answered_in_their_order_by_one_warm_process()
    {
        var (id, folder) = await api.PutCheckpoint();

        var texts = await api.Post($"/jobs/{id}/predict", """{"texts": ["a", "b", "c"]}""", HttpStatusCode.OK);
        var pairs = await api.Post($"/jobs/{id}/predict?checkpoint=best", """{"inputs": [{"text": "a", "text_pair": "b"}]}""", HttpStatusCode.OK);

        Assert.Equal(7, (int)texts["step"]!);
        Assert.Equal(["1", "1", "1"], texts["predictions"]!.AsArray().Select(prediction => (string)prediction!["label"]!));
        Assert.Equal("""{"0":0.25,"1":0.75}""", pairs["predictions"]![0]!["probabilities"]!.ToJsonString());
        Assert.Single(Starts(folder));
    }

    [Fact]
    public async Task The_process_sees_none_of_our_secrets()
    {
        Environment.SetEnvironmentVariable("ConnectionStrings__Secret", "hunter2");
        var (id, folder) = await api.PutCheckpoint();

        await api.Post($"/jobs/{id}/predict", """{"texts": ["a"]}""", HttpStatusCode.OK);

        var seen = File.ReadAllText(Path.Combine(folder, "environment"));
        Assert.Contains("PATH=", seen);
        Assert.DoesNotContain("hunter2", seen);
    }

    [Fact]
    public async Task A_crash_is_answered_by_a_new_process()
    {
        var (id, folder) = await api.PutCheckpoint();
        await api.Post($"/jobs/{id}/predict", """{"texts": ["a"]}""", HttpStatusCode.OK);

        await api.Post($"/jobs/{id}/predict", """{"texts": ["crash once"]}""", HttpStatusCode.OK);

        Assert.Equal(2, Starts(folder).Length);
    }

    [Theory]
    [InlineData("crash")]
    [InlineData("nonsense")]
    public async Task A_process_that_fails_again_is_told_and_the_next_request_works(string text)
    {
        var (id, folder) = await api.PutCheckpoint();

        await api.Post($"/jobs/{id}/predict", $$"""{"texts": ["{{text}}"]}""", HttpStatusCode.ServiceUnavailable);

        await api.Post($"/jobs/{id}/predict", """{"texts": ["a"]}""", HttpStatusCode.OK);
        Assert.Equal(3, Starts(folder).Length);
    }

    [Fact]
    public async Task Faults_of_the_predictor_reach_the_client()
    {
        var (id, _) = await api.PutCheckpoint();

        Assert.Equal(["/inputs/0/text"], Api.Pointers(await api.Post($"/jobs/{id}/predict", """{"texts": ["refuse"]}""", HttpStatusCode.UnprocessableEntity)));
    }

    [Theory]
    [InlineData("""{}""", "/texts")]
    [InlineData("""{"texts": []}""", "/texts")]
    [InlineData("""{"texts": ["a"], "inputs": [{"text": "a"}]}""", "/texts")]
    [InlineData("""{"inputs": [{"txt": "a"}]}""", "/inputs/0/txt")]
    [InlineData("""{"texts": [1]}""", "/texts/0")]
    [InlineData("""{"texts": "a"}""", "/texts")]
    public async Task Bodies_are_judged_before_a_model_is_loaded(string body, string pointer)
    {
        var (id, folder) = await api.PutCheckpoint();

        Assert.Equal(pointer, Api.Pointers(await api.Post($"/jobs/{id}/predict", body, HttpStatusCode.UnprocessableEntity)).First());

        Assert.False(File.Exists(Path.Combine(folder, "starts")));
    }

    [Fact]
    public async Task Too_many_waiting_requests_are_refused()
    {
        var (id, _) = await api.PutCheckpoint();
        var body = JsonSerializer.Serialize(new { texts = Enumerable.Repeat("a", 200) });

        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => api.Http.PostAsync($"/jobs/{id}/predict", new StringContent(body, System.Text.Encoding.UTF8, "application/json"), Api.Cancel)));

        Assert.Contains(answers, answer => answer.StatusCode == HttpStatusCode.OK);
        var refused = answers.Where(answer => answer.StatusCode != HttpStatusCode.OK).ToList();
        Assert.NotEmpty(refused);
        foreach (var answer in refused)
            await Api.Read(answer, HttpStatusCode.ServiceUnavailable);
    }

    [Fact]
    public async Task Only_the_most_recently_used_models_stay_warm()
    {
        var used = new List<string>();
        for (var i = 0; i < 3; i++)
        {
            var (id, folder) = await api.PutCheckpoint();
            await api.Post($"/jobs/{id}/predict", """{"texts": ["a"]}""", HttpStatusCode.OK);
            used.Add(folder);
        }

        var first = int.Parse(Starts(used[0])[0], System.Globalization.CultureInfo.InvariantCulture);
        while (IsAlive(first))
            await Task.Delay(10, Api.Cancel);
    }

    [Fact]
    public async Task What_has_ended_is_forgotten()
    {
        for (var i = 0; i < 3; i++)
            await api.Post($"/jobs/{(await api.PutCheckpoint()).Id}/predict", """{"texts": ["a"]}""", HttpStatusCode.OK);
        await api.Post($"/jobs/{(await api.PutCheckpoint()).Id}/predict", """{"texts": ["crash"]}""", HttpStatusCode.ServiceUnavailable);

        Assert.Equal(2, api.Services.GetRequiredService<WarmModelPool>().Count);
    }

    [Fact]
    public async Task A_model_that_nobody_asks_ends_and_is_forgotten()
    {
        var (_, folder) = await api.PutCheckpoint();
        using var pool = new WarmModelPool(
            api.Services.GetRequiredService<TrainerLocation>(), Options.Create(new WarmModelSettings { IdleTimeout = TimeSpan.FromMilliseconds(200) }), TimeProvider.System, NullLogger<WarmModelPool>.Instance);
        await pool.StartAsync(Api.Cancel);

        await pool.AskAsync<PredictReply>("predict", folder, new PredictRequest { Inputs = [new() { Text = "a" }] }, Api.Cancel).SingleAsync(Api.Cancel);

        var process = int.Parse(Starts(folder)[0], System.Globalization.CultureInfo.InvariantCulture);
        while (pool.Count > 0 || IsAlive(process))
            await Task.Delay(10, Api.Cancel);
        await pool.StopAsync(Api.Cancel);
    }

    [Fact]
    public async Task A_job_without_a_checkpoint_predicts_nothing() =>
        await api.Post($"/jobs/{await api.PutJob(JobStatus.Queued)}/predict", """{"texts": ["a"]}""", HttpStatusCode.NotFound);

    private static string[] Starts(string folder) => File.ReadAllLines(Path.Combine(folder, "starts"));

    private static bool IsAlive(int processId) => Directory.Exists($"/proc/{processId}");
}
