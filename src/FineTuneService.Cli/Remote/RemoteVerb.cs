using System.CommandLine;
using FineTuneService.Client;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Remote;

/// <summary>A verb that asks a running service: which one, with which key, and what its refusals look like on a terminal.</summary>
internal static class RemoteVerb
{
    private const string ServerVariable = "FINETUNE_SERVER", KeyVariable = "FINETUNE_API_KEY", UsualServer = "http://127.0.0.1:5080";

    public static Argument<string> Job() => new("job") { Description = "The job's id." };

    /// <summary>Gives the command the options of a remote verb, and its action.</summary>
    /// <param name="act">Returns the exit code.</param>
    public static Command Ask(this Command command, Func<ParseResult, FineTuneClient, CancellationToken, Task<int>> act)
    {
        var server = new Option<string?>("--server") { Description = $"Where the service listens. Default: {ServerVariable}, else {UsualServer}." };
        var key = new Option<string?>("--key") { Description = $"A key of the service. Default: {KeyVariable}, which other users of this machine cannot see." };
        command.Add(server);
        command.Add(key);
        command.SetAction((parsed, cancel) => Tell(async () =>
        {
            var address = parsed.GetValue(server) ?? Environment.GetEnvironmentVariable(ServerVariable) ?? UsualServer;
            using var client = new FineTuneClient(AddressOf(address), parsed.GetValue(key) ?? Environment.GetEnvironmentVariable(KeyVariable)
                ?? throw new FaultException("--key", null, "No key was given.", $"Give --key, or set {KeyVariable}; a service's first key is in its data folder, in bootstrap-key."));
            try
            {
                return await act(parsed, client, cancel);
            }
            catch (HttpRequestException error)
            {
                throw new FaultException("--server", address, $"The service cannot be reached: {error.Message}", "Start it, or give its address.");
            }
        }));
        return command;
    }

    private static Uri AddressOf(string text) => Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
        ? address
        : throw new FaultException("--server", text, "This is no address of a service.", "Give one that begins with http:// or https://.");

    private static async Task<int> Tell(Func<Task<int>> act)
    {
        try
        {
            return await act();
        }
        catch (FaultException error)
        {
            Verb.Tell(error.Faults);
            return TrainerExit.Faulted;
        }
        catch (FineTuneException refused)
        {
            Console.Error.WriteLine($"error: {refused.Message}");
            return TrainerExit.Faulted;
        }
        catch (IOException error) when (FullDisk.Is(error))
        {
            return Verb.Tell(error);
        }
    }
}
