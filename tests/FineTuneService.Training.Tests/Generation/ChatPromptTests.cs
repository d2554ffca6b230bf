using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Generation;

/// <summary>A Llama whose template ends a turn with a token that does not end a text.</summary>
public sealed class ChatPromptTests
{
    private const string Asked = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";

    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "Fixtures", "language", "tiny-llama");
    private static readonly Tokenizer Tokenizer = Tokenizer.Load(Folder);

    [Fact]
    public void A_conversation_is_written_up_to_where_the_assistant_begins()
    {
        var chat = ChatPrompt.Render(ChatTemplate.Load(Folder), Tokenizer, Messages("""[{"role": "user", "content": "Hi"}]"""), tools: null);

        Assert.Equal(Tokenizer.EncodePlain(Asked).Ids, chat.Ids);
        Assert.Equal(Tokenizer.TokenToId("<|im_end|>"), chat.TurnEnd);
        Assert.NotEqual(Tokenizer.EosTokenId, chat.TurnEnd);
    }

    [Fact]
    public void Content_in_parts_is_one_text_and_weights_are_nobodys_business()
    {
        var chat = ChatPrompt.Render(ChatTemplate.Load(Folder), Tokenizer, Messages("""[{"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}], "weight": 0}]"""), tools: null);

        Assert.Equal(Tokenizer.EncodePlain(Asked).Ids, chat.Ids);
    }

    [Fact]
    public void Tools_reach_the_template()
    {
        var template = ChatTemplate.Parse("{{ tools[0].function.name }}: {{ messages[0].content }}", "test");

        var chat = ChatPrompt.Render(template, Tokenizer, Messages("""[{"role": "user", "content": "Hi"}]"""), Messages("""[{"type": "function", "function": {"name": "clock"}}]"""));

        Assert.Equal(Tokenizer.EncodePlain("clock: Hi").Ids, chat.Ids);
        Assert.Null(chat.TurnEnd); // It shows none.
    }

    [Fact]
    public void A_template_that_refuses_an_answer_shows_no_end_of_turn()
    {
        var template = ChatTemplate.Parse("{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('users only') }}{% endif %}{{ m.content }}{% endfor %}", "test");

        Assert.Null(ChatPrompt.Render(template, Tokenizer, Messages("""[{"role": "user", "content": "Hi"}]"""), null).TurnEnd);
        var refused = Assert.Throws<FaultException>(() => ChatPrompt.Render(template, Tokenizer, Messages("""[{"role": "system", "content": "Hi"}]"""), null));
        Assert.Contains("users only", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_template_the_fault_names_the_way_out()
    {
        var fault = Assert.Single(Assert.Throws<FaultException>(() => ChatPrompt.Render(null, Tokenizer, Messages("""[{"role": "user", "content": "Hi"}]"""), null)).Faults);

        Assert.Equal("/messages", fault.Pointer);
        Assert.Contains("prompts", fault.Remedy, StringComparison.Ordinal);
    }

    /// <summary>A model of random weights says its end of turn sooner or later; what would follow is not said.</summary>
    [Fact]
    public void An_answer_ends_with_its_turn()
    {
        using var generator = new TextGenerator(Folder, CPU);
        var config = new GenerationConfig { MaxNewTokens = 200, Temperature = 2, TopK = 0 };
        var request = new GenerateRequest { Messages = Messages("""[{"role": "user", "content": "Hi"}]""") };
        var ended = 0;
        for (var seed = 0; seed < 40; seed++)
        {
            var answer = generator.Stream(request with { Generation = config with { Seed = seed } }, TestContext.Current.CancellationToken).ToList();
            var going = generator.Stream([Asked], config with { Seed = seed }, cancel: TestContext.Current.CancellationToken).ToList();
            Assert.StartsWith(Text(answer), Text(going), StringComparison.Ordinal);
            if (answer[^1] is { FinishReason: FinishReason.Stop } last && last.CompletionTokens < going[^1].CompletionTokens)
                ended++;
        }
        Assert.True(ended > 0);
    }

    private static string Text(IEnumerable<GeneratedPiece> pieces) => string.Concat(pieces.Select(piece => piece.Text));

    private static JsonElement[] Messages(string json) => JsonSerializer.Deserialize<JsonElement[]>(json)!;
}
