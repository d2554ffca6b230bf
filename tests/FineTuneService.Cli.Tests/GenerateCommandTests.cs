using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>A golden model whose 64 tokens are the words w0 to w63; the continuation is that of transformers 5.12.1 without sampling.</summary>
public sealed class GenerateCommandTests : IDisposable
{
    private const string Prompt = "w63 w28 w61 w61 w42 w4 w8 w37 w26 w9", Continuation = " w30 w22 w22 w22 w26 w22";

    private readonly string _model = Directory.CreateTempSubdirectory("finetune-generate-").FullName;

    public GenerateCommandTests()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "mistral-window-clm")))
            File.Copy(file, Path.Combine(_model, Path.GetFileName(file)));
        var vocabulary = Enumerable.Range(0, 64).ToDictionary(id => $"w{id}");
        File.WriteAllText(Path.Combine(_model, "tokenizer.json"), JsonSerializer.Serialize(
            new { model = new { type = "WordLevel", vocab = vocabulary, unk_token = "w3" }, pre_tokenizer = new { type = "WhitespaceSplit" } }));
    }

    public void Dispose() => Directory.Delete(_model, recursive: true);

    [Fact]
    public async Task Generate_writes_prompt_and_continuation()
    {
        var (exitCode, output, error) = await Finetune.Run("generate", _model, Prompt, "--max-new-tokens", "6", "--device", "cpu");

        Assert.Equal((0, Prompt + Continuation + "\n", ""), (exitCode, output, error));
    }

    [Theory]
    [InlineData("""[{"role": "user", "content": "PROMPT"}]""")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "text", "text": "PROMPT"}]}]}""")]
    public async Task Generate_answers_the_conversation_of_a_file(string conversation)
    {
        File.WriteAllText(Path.Combine(_model, "chat_template.jinja"), "{% for message in messages %}{{ message.content }}{% endfor %}");

        var (exitCode, output, error) = await Finetune.Run("generate", _model, "--messages", Write(conversation), "--max-new-tokens", "6", "--device", "cpu");

        Assert.Equal((0, Continuation + "\n", ""), (exitCode, output, error));
    }

    [Fact]
    public async Task A_conversation_that_cannot_be_answered_is_told()
    {
        var asked = Write("""[{"role": "user", "content": "PROMPT"}]""");

        Assert.Contains("no chat template", (await Finetune.Run("generate", _model, "--messages", asked)).Error, StringComparison.Ordinal);
        Assert.Contains("both given", (await Finetune.Run("generate", _model, "w1", "--messages", asked)).Error, StringComparison.Ordinal);
        Assert.Contains("/messages/0/role", (await Finetune.Run("generate", _model, "--messages", Write("""[{"content": "w1"}]"""))).Error, StringComparison.Ordinal);
        Assert.Contains("no conversation", (await Finetune.Run("generate", _model, "--messages", Write("w1"))).Error, StringComparison.Ordinal);
    }

    private string Write(string conversation)
    {
        var file = Path.Combine(_model, "conversation.json");
        File.WriteAllText(file, conversation.Replace("PROMPT", Prompt, StringComparison.Ordinal));
        return file;
    }

    [Fact]
    public async Task A_warm_generator_answers_line_by_line_and_outlives_faults()
    {
        using var process = Finetune.Start("generate", _model, "--stdin", "--device", "cpu");
        async Task<GenerateReply> Next() =>
            JsonSerializer.Deserialize<GenerateReply>((await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken))!, SnakeCaseJson.Options)!;
        Task Ask(object request) => process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(request, SnakeCaseJson.Options));

        Assert.True((await Next()).Ready);
        await Ask(new { Prompts = new[] { Prompt }, Generation = new { MaxNewTokens = 6 } });
        var pieces = new List<GeneratedPiece>();
        GenerateReply reply;
        while ((reply = await Next()).Piece is { } piece)
            pieces.Add(piece);
        Assert.True(reply.Done);
        Assert.Equal(Continuation, string.Concat(pieces.Select(piece => piece.Text)));
        Assert.Equal(new GeneratedPiece(0, " w22") { FinishReason = FinishReason.Length, PromptTokens = 10, CompletionTokens = 6 }, pieces[^1]);

        await Ask(new { Prompts = new[] { Prompt }, Generation = new { TopP = 7 } });
        Assert.Equal("/generation/top_p", Assert.Single((await Next()).Faults!).Pointer);
        await Ask(new { Prompt });
        Assert.NotNull((await Next()).Faults);
        await Ask(new { Prompts = new[] { Prompt }, Generation = new { MaxNewTokens = 1 } });
        Assert.Equal(" w30", (await Next()).Piece!.Text);
        process.StandardInput.Close();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
    }
}
