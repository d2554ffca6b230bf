using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Data;

public sealed class PreferenceReaderTests : IDisposable
{
    private readonly LanguageFixtures _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Without_a_prompt_it_is_what_both_answers_begin_with()
    {
        var pair = Read(false, """{"chosen": "The sky is blue.", "rejected": "The sky is green."}""").Rows.Single();

        Assert.Equal(new TextExchange(1, "The sky is", " blue."), pair.Chosen);
        Assert.Equal(new TextExchange(1, "The sky is", " green."), pair.Rejected);
    }

    [Fact]
    public void Shared_messages_are_the_prompt()
    {
        var pair = Read(
            false,
            """{"chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "What?"}]}""").Rows.Single();

        Assert.Equal(1, Assert.IsType<ChatExchange>(pair.Chosen).PromptMessages);
        Assert.Equal(1, Assert.IsType<ChatExchange>(pair.Rejected).PromptMessages);
    }

    [Fact]
    public void A_prompt_of_messages_goes_before_both()
    {
        var pair = Read(true, """{"prompt": [{"role": "user", "content": "Hi"}], "chosen": [{"role": "assistant", "content": "Hello"}], "rejected": [{"role": "assistant", "content": "What?"}]}""").Rows.Single();

        Assert.Equal(["user", "assistant"], Assert.IsType<ChatExchange>(pair.Chosen).Messages.Roles);
        Assert.Equal(1, ((ChatExchange)pair.Rejected).PromptMessages);
    }

    [Fact]
    public void OpenAIs_lines_are_read_by_their_usual_columns_with_the_inputs_tools()
    {
        var path = _files.Write("openai.jsonl", """{"input": {"messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "function"}], "parallel_tool_calls": true}, "preferred_output": [{"role": "assistant", "content": "Hello"}], "non_preferred_output": [{"role": "assistant", "content": "What?"}]}""");
        var columns = SpecResolver.ResolveColumns(new DpoConfig(), new() { Train = path }, DataFile.Open(path).FirstColumns());

        var pair = new PreferenceReader(columns).Read(new RowLedger(path)).Single();

        var (chosen, rejected) = (Assert.IsType<ChatExchange>(pair.Chosen), Assert.IsType<ChatExchange>(pair.Rejected));
        Assert.Equal(["user", "assistant"], chosen.Messages.Roles);
        Assert.Equal((1, 1), (chosen.PromptMessages, rejected.PromptMessages));
        Assert.Equal("What?", rejected.Messages.Json[1].GetProperty("content").GetString());
        Assert.Equal("function", chosen.Tools!.Value[0].GetProperty("type").GetString());
    }

    [Fact]
    public void Pairs_without_a_preference_are_dropped()
    {
        var (rows, ledger) = Read(
            true,
            """{"prompt": "Q", "chosen": "a", "rejected": "b"}""",
            """{"prompt": "Q", "chosen": "a", "rejected": "a"}""",
            """{"prompt": "Q", "chosen": "a", "rejected": ""}""");

        Assert.Single(rows);
        Assert.Equal(["an answer is missing", "both answers are the same"], ledger.Dropped.Keys);
    }

    private (List<Preference> Rows, DataLedger Ledger) Read(bool hasPrompt, params string[] lines)
    {
        var path = _files.Write("train.jsonl", lines);
        var ledger = new RowLedger(path);
        var rows = new PreferenceReader(new DatasetSpec { Train = path, PromptColumn = hasPrompt ? "prompt" : null, ChosenColumn = "chosen", RejectedColumn = "rejected" }).Read(ledger).ToList();
        return (rows, ledger.Close(rows.Count, ("", "")));
    }
}
