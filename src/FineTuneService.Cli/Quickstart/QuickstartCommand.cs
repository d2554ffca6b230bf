using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Quickstart;

/// <summary>
/// <c>finetune quickstart</c>: a service's whole story over its API, as any client could tell it.
/// Uploads the sample data, posts the sample job, follows it, and shows what it brought. Touches no tensor.
/// </summary>
internal static partial class QuickstartCommand
{
    private static readonly string[] Sentences = ["a warm , funny and surprisingly moving film", "two hours of noise with nothing to say"];

    public static Command Create()
    {
        var url = new Option<string>("--url") { Description = "Where the service listens.", DefaultValueFactory = _ => "http://127.0.0.1:5080" };
        var samples = new Option<string>("--samples") { Description = "Folder with the sample data and jobs.", DefaultValueFactory = _ => "samples" };
        var data = new Option<string>("--data") { Description = "The service's data directory, to show where files lie.", DefaultValueFactory = _ => "data" };
        var command = new Command("quickstart", "Run the sample job on a running service.") { url, samples, data };
        command.SetAction(async (parsed, cancel) =>
        {
            try
            {
                return await Run(new(parsed.GetRequiredValue(url)), parsed.GetRequiredValue(samples), parsed.GetRequiredValue(data), cancel);
            }
            catch (FaultException error)
            {
                Verb.Tell(error.Faults);
                return TrainerExit.Faulted;
            }
        });
        return command;
    }

    private static async Task<int> Run(Uri url, string samples, string data, CancellationToken cancel)
    {
        using var client = new ServiceClient(url);
        await client.WaitUntilReady(TimeSpan.FromMinutes(2), cancel);
        var key = Path.Combine(data, "bootstrap-key");
        client.Key = Environment.GetEnvironmentVariable("FINETUNE_API_KEY") ?? (File.Exists(key)
            ? (await File.ReadAllTextAsync(key, cancel)).Trim()
            : throw new FaultException("FINETUNE_API_KEY", null, $"There is no key: the variable is not set, and {key} does not exist.", "Set it to a key of the service."));

        var spec = await FillIn(await File.ReadAllTextAsync(Path.Combine(samples, "jobs", "sst2-sentiment.json"), cancel), client, samples, cancel);
        var job = await client.Post("jobs", spec, cancel);
        var id = (string)job["id"]!;
        Say($"job {id}: {job["spec"]!["base_model"]} learns from sst2");

        var ended = await Follow(client, id, cancel);
        if ((string)ended["status"]! != "succeeded")
        {
            Say($"the job {ended["status"]}: {ended["reason"]}");
            foreach (var fault in ended["faults"]?.AsArray() ?? [])
                Say($"  {fault}");
            return 1;
        }

        await Summarise(client, id, data, cancel);
        Say($"your key           {key}");
        Say($"dashboard          {url}");
        Say($"this job           {new Uri(url, $"#/jobs/{id}")}");
        Say($"Swagger UI         {new Uri(url, "swagger")}");
        Say($"queue              {new Uri(url, "hangfire")}");
        return 0;
    }

    /// <summary>Uploads every file that the specification names as <c>${file}</c>, unless the service has it already, and puts the ids in place.</summary>
    private static async Task<string> FillIn(string spec, ServiceClient client, string samples, CancellationToken cancel)
    {
        foreach (var file in Placeholder().Matches(spec).Select(match => match.Groups[1].Value).Distinct())
        {
            var (id, rows, known) = await client.EnsureDataset(Path.Combine(samples, file), file, cancel);
            Say($"{(known ? "found   " : "uploaded")} {file} ({rows} rows)");
            spec = spec.Replace($"${{{file}}}", id, StringComparison.Ordinal);
        }
        return spec;
    }

    private static async Task<JsonNode> Follow(ServiceClient client, string id, CancellationToken cancel)
    {
        var bar = new ProgressBar(Console.Out, live: !Console.IsOutputRedirected);
        double? loss = null;
        long after = 0;
        using var ticks = new PeriodicTimer(TimeSpan.FromMilliseconds(500));
        while (true)
        {
            var job = await client.Get($"jobs/{id}", cancel);
            foreach (var metric in (await client.Get($"jobs/{id}/metrics?after={after}&names=loss,eval_accuracy", cancel))["data"]!.AsArray())
            {
                after = Math.Max(after, (long)metric!["seq"]!);
                if ((string)metric["name"]! == "loss")
                    loss = (double?)metric["value"];
                else
                    bar.Note($"validation accuracy {Number(metric["value"])} after {(int)metric["step"]!} steps");
            }
            if ((string)job["status"]! is "succeeded" or "failed" or "cancelled")
            {
                bar.End();
                return job;
            }
            bar.Show(Progress.Of(job, loss));
            await ticks.WaitForNextTickAsync(cancel);
        }
    }

    private static async Task Summarise(ServiceClient client, string id, string data, CancellationToken cancel)
    {
        var accuracies = (await client.Get($"jobs/{id}/metrics?names=eval_accuracy,test_accuracy", cancel))["data"]!.AsArray();
        var checkpoints = (await client.Get($"jobs/{id}/checkpoints", cancel))["data"]!.AsArray();
        var best = checkpoints.Single(checkpoint => (bool)checkpoint!["best"]!)!;
        var before = accuracies.First(metric => (string)metric!["name"]! == "eval_accuracy")!["value"];
        var after = accuracies.Last(metric => (string)metric!["name"]! == "eval_accuracy" && (int)metric["step"]! == (int)best["step"]!)!["value"];
        var test = accuracies.Last(metric => (string)metric!["name"]! == "test_accuracy")!["value"];

        Say("");
        Say($"validation         accuracy {Number(before)} before, {Number(after)} after");
        Say($"test               accuracy {Number(test)}");
        var folder = Path.Combine(data, "runs", id, (string)best["path"]!);
        Say($"best checkpoint    {folder} ({Number((long)best["bytes"]! / 1e6, "0.0")} MB, opens with transformers' from_pretrained)");

        var answer = await client.Post($"jobs/{id}/predict", JsonSerializer.Serialize(new { texts = Sentences }), cancel);
        foreach (var (text, prediction) in Sentences.Zip(answer["predictions"]!.AsArray()))
        {
            var label = (string)prediction!["label"]!;
            Say($"prediction         \"{text}\": {label} ({Number(prediction["probabilities"]![label])})");
        }
    }

    private static string Number(JsonNode? value, string format = "0.000") => Number((double)value!, format);

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    private static void Say(string line) => Console.WriteLine(line);

    [GeneratedRegex(@"\$\{([^}]+)\}")]
    private static partial Regex Placeholder();
}
