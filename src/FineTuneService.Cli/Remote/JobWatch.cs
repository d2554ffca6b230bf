using System.Text.Json;
using FineTuneService.Client;
using FineTuneService.Contracts;
using JobStatus = FineTuneService.Client.JobStatus;

namespace FineTuneService.Cli.Remote;

/// <summary>Follows a job: on a terminal as a picture that moves, elsewhere as a line an event.</summary>
internal static class JobWatch
{
    private const int Points = 400;

    /// <returns>The exit code, by the job's end.</returns>
    public static async Task<int> Follow(FineTuneClient client, string id, CancellationToken cancel)
    {
        if (Console.IsOutputRedirected)
            await Tell(client, id, cancel);
        else
            await Draw(client, id, cancel);
        var job = await client.GetJobAsync(id, cancel);
        foreach (var fault in job.Faults ?? [])
            Console.Error.WriteLine($"error: {fault.Pointer}{(fault.Value is null ? "" : $" = {fault.Value}")}: {fault.Message} {fault.Remedy}");
        return job.Status switch
        {
            JobStatus.Succeeded => TrainerExit.Succeeded,
            JobStatus.Cancelled => TrainerExit.Stopped,
            _ => job.Faults is { Count: > 0 } ? TrainerExit.Faulted : TrainerExit.Crashed,
        };
    }

    private static async Task Tell(FineTuneClient client, string id, CancellationToken cancel)
    {
        using var lines = new EventLines();
        await foreach (var happened in client.FollowEventsAsync(id, cancellationToken: cancel))
            Console.Write(lines.Of(happened));
    }

    private static async Task Draw(FineTuneClient client, string id, CancellationToken cancel)
    {
        // The last event's id is asked for before the numbers, so that none falls between the two; one that comes twice is known by its step.
        var last = (await client.ReadEventsAsync(id, last: 1, cancellationToken: cancel)).NextAfter ?? 0;
        var job = await client.GetJobAsync(id, cancel);
        using var screen = new JobScreen(Console.Out, () => (Console.WindowWidth, Console.WindowHeight), job);
        foreach (var metric in (await client.ReadMetricsAsync(id, names: "loss,eval_loss", points: Points, cancellationToken: cancel)).Data)
            screen.Add(metric.Name, metric.Step, metric.Value ?? double.NaN);
        foreach (var finding in (await client.ReadFindingsAsync(id, cancel)).Data)
            screen.Find(finding.Code, finding.Explanation);
        screen.Draw();
        await foreach (var happened in client.FollowEventsAsync(id, last, cancellationToken: cancel))
            screen.Show(happened);
    }

    /// <summary>The event as the trainer wrote it; null for a change of the job's state, and for what a newer service tells.</summary>
    public static TrainingEvent? TrainingEventOf(Event happened)
    {
        try
        {
            return happened.Seq is null && happened.Type != "note" ? null : JsonSerializer.Deserialize<TrainingEvent>((JsonElement)happened.Data, Lenient);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static readonly JsonSerializerOptions Lenient = new(SnakeCaseJson.Options) { UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Skip };
}
