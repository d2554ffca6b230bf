using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using FineTuneService.Training.Tokenization;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Generation;

[Collection(GlobalGenerator.Name)]
public sealed class SampleTextsTests : IDisposable
{
    private static readonly Tokenizer Words = LanguageFixtures.Tokenizer;
    private static readonly string[] Chats =
    [
        """{"messages": [{"role": "user", "content": "What is red?"}, {"role": "assistant", "content": "A colour."}, {"role": "user", "content": "And blue?"}, {"role": "assistant", "content": "Another."}]}""",
        """{"messages": [{"role": "user", "content": "And you?"}, {"role": "assistant", "content": "A model."}]}""",
    ];

    private readonly LanguageFixtures _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Unless_told_otherwise_a_chat_is_asked_what_its_validation_rows_ask()
    {
        var prompts = Load("sft", Chats)!;

        Assert.Equal(
            ["<|im_start|>user\nWhat is red?<|im_end|>\n<|im_start|>assistant\n", "<|im_start|>user\nAnd you?<|im_end|>\n<|im_start|>assistant\n"],
            prompts.Prompts.Select(prompt => Words.Decode(prompt)));
        Assert.Equal([Words.TokenToId("<|im_end|>")!.Value], prompts.Ends);
        Assert.Equal(32, prompts.MaxNewTokens);
    }

    [Fact]
    public void Of_texts_it_is_asked_to_go_on_after_the_first_words()
    {
        var prompts = Load("causal-lm", """{"text": "To be, or not to be, that is the question: whether"}""", """{"text": "Yes"}""")!;

        var first = Words.Decode(prompts.Prompts[0]);
        Assert.StartsWith("To be", first, StringComparison.Ordinal);
        Assert.StartsWith(first + " ", "To be, or not to be, that is the question: whether", StringComparison.Ordinal);
        Assert.InRange(prompts.Prompts[0].Length, 1, 12);
        Assert.InRange(prompts.Prompts[1].Length, 1, 3);
    }

    [Fact]
    public void Of_preferences_it_is_asked_for_the_answer()
    {
        var prompts = Load("dpo", """{"prompt": "One and two are", "chosen": " three.", "rejected": " five."}""")!;

        Assert.Equal(["One and two are"], prompts.Prompts.Select(prompt => Words.Decode(prompt)));
    }

    [Fact]
    public void Ones_own_prompts_are_put_as_messages_where_rows_are()
    {
        Assert.Equal("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n", Words.Decode(Load("""{"type": "sft", "sample_prompts": ["Hello"], "sample_max_new_tokens": 5}""", Chats)!.Prompts[0]));
        Assert.Equal("Hello", Words.Decode(Load("""{"type": "causal-lm", "sample_prompts": ["Hello"]}""", """{"text": "To be, or not"}""")!.Prompts[0]));
        Assert.Null(Load("""{"type": "sft", "sample_prompts": []}""", Chats));
    }

    [Fact]
    public void A_prompt_that_leaves_no_room_is_refused()
    {
        var faults = Assert.Throws<FaultException>(() => Load($$"""{"type": "causal-lm", "sample_prompts": ["fine", "{{new string('x', 300)}}"]}""", """{"text": "To be, or not"}""")).Faults;

        Assert.Equal(["/task/sample_prompts/1"], faults.Select(fault => fault.Pointer));
    }

    [Fact]
    public void It_says_what_the_generator_would_say_and_leaves_training_as_it_was()
    {
        using var folder = new TinyModel();
        var tokenizer = Tokenizer.Load(folder.Folder);
        var config = PretrainedConfig.Read(folder.Folder);
        using var model = config.Create(ModelHead.CausalLm);
        PretrainedFolder.LoadWeights(folder.Folder, model, seed: 0);
        model.train();
        int[][] prompts = [tokenizer.Encode("abc").Ids, tokenizer.Encode("To be").Ids];
        var settings = new GenerationSettings { Temperature = 3, DoSample = true, RepetitionPenalty = 1.5, EosTokenIds = [257] };
        manual_seed(5);
        var expected = rand(3).data<float>().ToArray();

        manual_seed(5);
        var spoken = new SampleTexts(new(prompts, 20, []), tokenizer, settings).Generate(model, CPU);
        var next = rand(3).data<float>().ToArray();

        using var generator = new TextGenerator(folder.Folder, CPU);
        var texts = generator.Generate(["abc", "To be"], new GenerationConfig { MaxNewTokens = 20, DoSample = false }, TestContext.Current.CancellationToken);
        Assert.Equal([("abc", texts[0]), ("To be", texts[1])], spoken.Select(sample => (sample.Prompt, sample.Text)));
        Assert.Equal(expected, next);
        Assert.True(model.training);
    }

    [Fact]
    public void A_turn_ends_where_the_rows_end_theirs()
    {
        using var folder = new TinyModel();
        var tokenizer = Tokenizer.Load(folder.Folder);
        using var model = PretrainedConfig.Read(folder.Folder).Create(ModelHead.CausalLm);
        PretrainedFolder.LoadWeights(folder.Folder, model, seed: 0);
        int[] prompt = tokenizer.Encode("abc").Ids;
        using var continuation = new Continuation(model, [prompt], CPU);
        model.eval();
        using var logits = continuation.Next();
        var first = (int)logits[0].argmax().ToInt64();

        Assert.Equal("", new SampleTexts(new([prompt], 20, [first]), tokenizer, new()).Generate(model, CPU)[0].Text);
    }

    /// <summary>What a task asks whose validation rows are these.</summary>
    private SamplePrompts? Load(string task, params string[] lines)
    {
        var spec = JobSpecReader.Read(System.Text.Encoding.UTF8.GetBytes($$"""{"base_model": "m", "task": {{(task[0] == '{' ? task : $"\"{task}\"")}}, "dataset": {"train": "t"} }"""));
        var path = _files.Write("rows.jsonl", lines);
        var config = (TrainingTaskConfig)spec.Task;
        var dataset = SpecResolver.ResolveColumns(config, new DatasetSpec { Train = path, Validation = path }, Training.Data.DataFile.Open(path).FirstColumns());
        return config.Load(dataset, new TrainingArguments { MaxLength = 64 }, Words).SamplePrompts;
    }
}
