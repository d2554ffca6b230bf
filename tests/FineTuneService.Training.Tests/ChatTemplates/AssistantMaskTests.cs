using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;

namespace FineTuneService.Training.Tests.ChatTemplates;

public sealed class AssistantMaskTests
{
    private const string ChatMl = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

    private const string Talk = """
        [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "1+1?" }, { "role": "assistant", "content": "2 😀" },
         { "role": "user", "content": "2+2?" }, { "role": "assistant", "content": "4" }]
        """;

    /// <summary>Templates of TRL that exist with and without generation blocks and write the same text (GLM's blocks hold the opening of the next turn too).</summary>
    public static TheoryData<string> Pairs =>
        [.. GoldenTemplates.Names.Where(name => GoldenTemplates.Names.Contains(name + "_training")).Except(["trl__deepseekv3", "trl__glm4moe", "trl__nemotron_3_ultra", "trl__phi3_5", "trl__qwen3"])];

    [Fact]
    public void Finds_each_turn_with_its_end_but_without_its_opening()
    {
        var masked = Mask(ChatMl, Talk);

        Assert.Equal("<|system|>Be brief.<|end|>\n<|user|>1+1?<|end|>\n<|assistant|>2 😀<|end|>\n<|user|>2+2?<|end|>\n<|assistant|>4<|end|>\n", masked.Text);
        Assert.Equal([(2, "2 😀<|end|>\n"), (4, "4<|end|>\n")], Words(masked));
    }

    [Fact]
    public void Looks_only_for_the_messages_that_are_learned() => Assert.Equal([(4, "4<|end|>\n")], Words(Mask(ChatMl, Talk, message => message == 4)));

    [Fact]
    public void Generation_blocks_say_whose_turn_it_is() => Assert.Equal(
        [(2, "2 😀<|end|>"), (4, "4<|end|>")],
        Words(Mask("{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}{% else %}{{ m.content }}<|end|>{% endif %}\n{% endfor %}", Talk)));

    [Fact]
    public void Several_blocks_of_one_message_stay_apart() => Assert.Equal(
        [(4, "4"), (4, "!")],
        Words(Mask("{% for m in messages[1:] %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}, {% generation %}!{% endgeneration %}{% endif %}{% endfor %}", Talk, message => message == 4)));

    [Fact]
    public void Blocks_without_a_loop_over_messages_are_counted() => Assert.Equal(
        [(2, "2 😀"), (4, "4")],
        Words(Mask("{% for i in range(messages|length) %}{% if messages[i].role == 'assistant' %}{% generation %}{{ messages[i].content }}{% endgeneration %}{% endif %}{% endfor %}", Talk)));

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Agrees_with_the_generation_blocks_of_TRL(string name)
    {
        var (plain, marked) = (GoldenTemplates.Read(name), GoldenTemplates.Read(name + "_training"));
        var compared = 0;
        foreach (var one in plain.Cases)
        {
            var request = plain.Request(one);
            var last = LastAssistant(request.Messages);
            MaskedChat expected, actual;
            try
            {
                // Of the last turn only: templates of reasoning models write earlier ones differently.
                (expected, actual) = (AssistantMask.Render(marked.Template, request, message => message == last), AssistantMask.Render(plain.Template, request, message => message == last));
            }
            catch (FaultException)
            {
                continue;
            }
            if (expected.Text != actual.Text || expected.Turns.Count != 1 || actual.Turns.Count != 1)
                continue;
            compared++;
            var (marks, found) = (expected.Turns[0], actual.Turns[0]);
            Assert.Equal(marks.Message, found.Message);
            // The blocks leave out the white space after the turn's end, and some begin after the thinking that the template itself puts in.
            Assert.Equal(expected.Text[..marks.End].TrimEnd(), actual.Text[..found.End].TrimEnd());
            Assert.Contains(Content(request.Messages[found.Message]), actual.Text[found.Start..found.End], StringComparison.Ordinal);
        }
        Assert.True(compared >= 2, $"Only {compared} cases could be compared.");
    }

    [Fact]
    public void A_turn_that_the_template_rewrites_later_is_refused_and_the_last_one_is_not()
    {
        const string Forgetful = "{% for m in messages %}<|{{ m.role }}|>{{ m.content if loop.last or m.role == 'user' else '…' }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

        var fault = Fault(() => Mask(Forgetful, Talk));
        Assert.Equal("/messages/2", fault.Pointer);
        Assert.Contains("writes this turn differently once others follow", fault.Message, StringComparison.Ordinal);
        Assert.Contains("last assistant message only", fault.Remedy, StringComparison.Ordinal);
        Assert.Equal([(4, "4")], Words(Mask(Forgetful, Talk, message => message == 4)));
    }

    [Fact]
    public void A_generation_prompt_that_the_turn_does_not_begin_with_is_refused() =>
        Assert.Contains("is not how the text with it begins", Fault(() => Mask(ChatMl.Replace("<|assistant|>{% endif", "<|assistant|><think>{% endif", StringComparison.Ordinal), Talk)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_first_message_from_the_assistant_needs_a_template_that_renders_nothing()
    {
        const string Opener = """[{ "role": "assistant", "content": "I start." }]""";

        Assert.Equal([(0, "I start.<|end|>\n")], Words(Mask(ChatMl, Opener)));
        Assert.Equal("/messages/0", Fault(() => Mask("{{ messages[0].role.upper() }}" + ChatMl, Opener)).Pointer);
    }

    [Fact]
    public void A_block_in_a_macro_is_refused() => Assert.Contains(
        "inside a macro",
        Fault(() => Mask("{% macro turn(m) %}{% generation %}{{ m.content }}{% endgeneration %}{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}", Talk)).Message,
        StringComparison.Ordinal);

    [Fact]
    public void Blocks_that_belong_to_nobody_are_refused() => Assert.Contains("1 generations", Fault(() => Mask("{% generation %}{{ messages[2].content }}{% endgeneration %}", Talk)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_date_in_the_text_is_read_once()
    {
        var request = new ChatRequest(JsonDocument.Parse(Talk).RootElement) { Clock = new RunningClock() };

        Assert.Equal(2, AssistantMask.Render(ChatTemplate.Parse("{{ strftime_now('%H:%M:%S') }}" + ChatMl, "dated"), request).Turns.Count);
    }

    private static MaskedChat Mask(string template, string messages, Func<int, bool>? isLearned = null) =>
        AssistantMask.Render(ChatTemplate.Parse(template, "template"), new(JsonDocument.Parse(messages).RootElement), isLearned);

    private static (int, string)[] Words(MaskedChat masked) => [.. masked.Turns.Select(turn => (turn.Message, masked.Text[turn.Start..turn.End]))];

    private static Fault Fault(Action action) => Assert.Single(Assert.Throws<FaultException>(action).Faults);

    private static int LastAssistant(JsonElement messages) => messages.EnumerateArray().ToList().FindLastIndex(message => message.GetProperty("role").GetString() == "assistant");

    private static string Content(JsonElement message) => message.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String ? content.GetString()!.Trim().Split('\n')[^1].Trim() : "";

    private sealed class RunningClock : TimeProvider
    {
        private int _seconds;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddSeconds(_seconds++);
    }
}
