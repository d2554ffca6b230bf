using System.CommandLine;

namespace FineTuneService.Cli.Remote;

/// <summary><c>finetune watch JOB</c>.</summary>
internal static class WatchCommand
{
    public static Command Create()
    {
        var job = RemoteVerb.Job();
        return new Command("watch", "Follow a job of a service until it ends; the exit code tells how: 0 succeeded, 1 failed, 2 failed for a cause that you can mend, 3 cancelled.") { job }
            .Ask((parsed, client, cancel) => JobWatch.Follow(client, parsed.GetRequiredValue(job), cancel));
    }
}
