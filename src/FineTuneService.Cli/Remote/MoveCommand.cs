using System.CommandLine;
using FineTuneService.Client;
using FineTuneService.Contracts;
using Job = FineTuneService.Client.Job;

namespace FineTuneService.Cli.Remote;

/// <summary><c>finetune cancel|pause|resume JOB</c>.</summary>
internal static class MoveCommand
{
    public static Command Cancel() => Create("cancel", "Stop a job of a service for good; its last checkpoint is kept.", (client, id, cancel) => client.CancelJobAsync(id, cancel));

    public static Command Pause() => Create("pause", "Stop a job of a service for a while, with a checkpoint.", (client, id, cancel) => client.PauseJobAsync(id, cancel));

    public static Command Resume() => Create("resume", "Have a paused job of a service go on exactly where it stopped.", (client, id, cancel) => client.ResumeJobAsync(id, cancel));

    private static Command Create(string verb, string description, Func<FineTuneClient, string, CancellationToken, Task<Job>> move)
    {
        var job = RemoteVerb.Job();
        return new Command(verb, description) { job }.Ask(async (parsed, client, cancel) =>
        {
            var moved = await move(client, parsed.GetRequiredValue(job), cancel);
            Console.WriteLine(moved.Status.ToString().ToLowerInvariant() + (moved.Reason is null ? "" : $": {moved.Reason}"));
            return TrainerExit.Succeeded;
        });
    }
}
