using System.CommandLine;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Generation;

namespace FineTuneService.Cli;

/// <summary><c>finetune generate MODEL PROMPT…</c>, or <c>--messages FILE</c>; with <c>--stdin</c> a warm generator for another program, see <see cref="GenerateRequest"/>.</summary>
internal static class GenerateCommand
{
    private static readonly Argument<DirectoryInfo> Model = Verb.Folder("model", "Folder of a causal language model, such as a checkpoint.");
    private static readonly Argument<string[]> Prompts = new("prompts") { Description = "Texts to continue.", Arity = ArgumentArity.ZeroOrMore };
    private static readonly Option<FileInfo?> Messages = new("--messages")
    {
        Description = "A conversation to answer, instead of prompts: a JSON file with a list of {role, content}, or with {\"messages\": […], \"tools\": […]}.",
    };
    private static readonly Option<bool> Stdin = new("--stdin") { Description = "Answer a JSON request a line until standard input ends." };
    private static readonly Option<int?> MaxNewTokens = new("--max-new-tokens") { Description = "The most tokens to add." };
    private static readonly Option<double?> Temperature = new("--temperature") { Description = "Draw tokens, with logits divided by this." };
    private static readonly Option<int?> TopK = new("--top-k") { Description = "Draw among so many of the most probable tokens; 0: all." };
    private static readonly Option<double?> TopP = new("--top-p") { Description = "Draw among the tokens that reach this probability together." };
    private static readonly Option<double?> MinP = new("--min-p") { Description = "Draw among tokens this probable, relative to the most probable." };
    private static readonly Option<bool?> DoSample = new("--do-sample") { Description = "Draw tokens, or not (false)." };
    private static readonly Option<double?> RepetitionPenalty = new("--repetition-penalty") { Description = "Above 1: less repetition." };
    private static readonly Option<string[]> StopStrings = new("--stop") { Description = "Text to stop before; may be given several times." };
    private static readonly Option<long?> Seed = new("--seed") { Description = "The same seed draws the same text." };
    private static readonly Option<string?> Device = DeviceOption.Create();
    private static readonly Option<DirectoryInfo?> Base = Verb.BaseOption();

    public static Command Create()
    {
        var command = new Command("generate", "Continue texts, or answer a conversation.")
        {
            Model, Prompts, Messages, Stdin, MaxNewTokens, DoSample, Temperature, TopK, TopP, MinP, RepetitionPenalty, StopStrings, Seed, Device, Base,
        };
        command.SetAction(parsed => Verb.Run(() => parsed.GetValue(Stdin) ? Serve(parsed) : Generate(parsed)));
        return command;
    }

    private static int Generate(ParseResult parsed)
    {
        var prompts = parsed.GetValue(Prompts) ?? [];
        var conversation = parsed.GetValue(Messages) is { } file ? ReadConversation(file.FullName) : null;
        if (conversation is not null && prompts.Length > 0)
            throw new FaultException("--messages", null, "Prompts and messages were both given.", "Give one of them.");
        using var generator = Open(parsed);
        var config = new GenerationConfig
        {
            MaxNewTokens = parsed.GetValue(MaxNewTokens),
            DoSample = parsed.GetValue(DoSample),
            Temperature = parsed.GetValue(Temperature),
            TopK = parsed.GetValue(TopK),
            TopP = parsed.GetValue(TopP),
            MinP = parsed.GetValue(MinP),
            RepetitionPenalty = parsed.GetValue(RepetitionPenalty),
            StopStrings = parsed.GetValue(StopStrings) is { Length: > 0 } stops ? stops : null,
            Seed = parsed.GetValue(Seed),
        };
        if (conversation is not null)
            Write("", generator.Stream(conversation with { Generation = config }));
        foreach (var prompt in prompts) // One after the other: on a terminal two texts cannot grow at once.
            Write(prompt, generator.Stream([prompt], config));
        return TrainerExit.Succeeded;
    }

    private static void Write(string prompt, IEnumerable<GeneratedPiece> pieces)
    {
        var isBegun = false;
        foreach (var piece in pieces)
        {
            Console.Write(isBegun ? piece.Text : prompt + piece.Text);
            Console.Out.Flush();
            isBegun = true;
        }
        Console.WriteLine();
    }

    /// <exception cref="FaultException">When the file is missing, or holds no conversation.</exception>
    private static GenerateRequest ReadConversation(string path)
    {
        if (!File.Exists(path))
            throw new FaultException("--messages", path, "There is no such file.", "Check the path.");
        try
        {
            var json = JsonSerializer.Deserialize<JsonElement>(File.ReadAllBytes(path));
            var request = json.ValueKind == JsonValueKind.Array ? new() { Messages = [.. json.EnumerateArray()] } : json.Deserialize<GenerateRequest>(SnakeCaseJson.Options)!;
            return request is { Messages: not null, Prompts: null } ? request : throw new JsonException("It has no messages.");
        }
        catch (JsonException error)
        {
            throw new FaultException(path, null, $"This is no conversation: {error.Message}", """Write [{"role": "user", "content": "…"}].""");
        }
    }

    private static int Serve(ParseResult parsed)
    {
        TextGenerator generator;
        try
        {
            generator = Open(parsed);
        }
        catch (FaultException error)
        {
            Reply(new() { Faults = error.Faults });
            return TrainerExit.Faulted;
        }
        using (generator)
        {
            Reply(new() { Ready = true });
            while (Console.In.ReadLine() is { } line)
                Reply(Answer(generator, line));
        }
        return TrainerExit.Succeeded;
    }

    private static GenerateReply Answer(TextGenerator generator, string line)
    {
        try
        {
            var request = JsonSerializer.Deserialize<GenerateRequest>(line, SnakeCaseJson.Options)!;
            foreach (var piece in generator.Stream(request))
                Reply(new() { Piece = piece });
            return new() { Done = true };
        }
        catch (FaultException error)
        {
            return new() { Faults = error.Faults };
        }
        catch (JsonException error)
        {
            return new() { Faults = [new Fault("", null, $"The request is not understood: {error.Message}", "Send {\"prompts\": [\"…\"], \"generation\": {\"max_new_tokens\": 64}} in one line.")] };
        }
    }

    private static TextGenerator Open(ParseResult parsed) => new(parsed.GetRequiredValue(Model).FullName, DeviceOption.Choose(parsed.GetValue(Device)), parsed.GetValue(Base)?.FullName);

    private static void Reply(GenerateReply reply)
    {
        Console.Out.WriteLine(JsonSerializer.Serialize(reply, SnakeCaseJson.Options));
        Console.Out.Flush();
    }
}
