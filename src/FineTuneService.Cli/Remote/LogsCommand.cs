using System.CommandLine;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Remote;

/// <summary><c>finetune logs JOB</c>.</summary>
internal static class LogsCommand
{
    private const int Page = 1000;

    public static Command Create()
    {
        var job = RemoteVerb.Job();
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with what happens, until the job ends." };
        return new Command("logs", "Tell what has happened to a job of a service, a line an event.") { job, follow }.Ask(async (parsed, client, cancel) =>
        {
            var (id, after) = (parsed.GetRequiredValue(job), 0L);
            using var lines = new EventLines();
            for (var more = true; more;)
            {
                var page = await client.ReadEventsAsync(id, after, Page, cancellationToken: cancel);
                foreach (var happened in page.Data)
                    Console.Write(lines.Of(happened));
                (after, more) = (page.NextAfter ?? after, page.HasMore);
            }
            if (parsed.GetValue(follow))
                await foreach (var happened in client.FollowEventsAsync(id, after, cancellationToken: cancel))
                    Console.Write(lines.Of(happened));
            return TrainerExit.Succeeded;
        });
    }
}
