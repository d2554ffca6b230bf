using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.DataQuality;

/// <summary>Finds out what a file is for by the names of its columns: the first task whose columns are all there.</summary>
internal static class ColumnRoles
{
    private static readonly (string Name, TrainingTaskConfig Config, Func<DatasetSpec, ColumnResolver, bool> MayBe)[] Tasks =
    [
        ("dpo", new DpoConfig(), (_, _) => true),
        ("sft", new SftConfig(), (data, columns) => data.MessagesColumn is not null || new[] { "messages", "conversations", "conversation" }.Any(columns.Has)),
        ("token-classification", new TokenClassificationConfig(), (_, _) => true),
        ("text-classification", new TextClassificationConfig(), (_, _) => true),
        ("sft", new SftConfig(), (_, _) => true),
        ("causal-lm", new CausalLmConfig(), (_, _) => true),
    ];

    /// <param name="names">Columns of the training file.</param>
    /// <exception cref="FaultException">When a named column is missing, or no task finds its columns.</exception>
    public static (DataColumns Columns, IReadOnlyList<ColumnGuess> Guesses) Resolve(DataColumns given, IReadOnlyList<string> names)
    {
        var faults = new FaultList();
        foreach (var (name, config, mayBe) in Tasks.Where(task => given.Task is null || task.Name == given.Task))
        {
            faults = new();
            List<ColumnGuess> guesses = given.Task is null ? [new("task", name, $"The first task whose columns are there ({string.Join(", ", Tasks.Select(task => task.Name).Distinct())}).")] : [];
            var resolver = new ColumnResolver(names, faults, (pointer, column, reason) => guesses.Add(new(pointer["/dataset/".Length..], column, reason)));
            var spec = Spec(given);
            if (!mayBe(spec, resolver) && given.Task is null)
                continue;
            spec = config.ResolveColumns(spec, resolver);
            if (!faults.Any)
                return (Columns(name, spec), guesses);
        }
        throw new FaultException([.. faults.All.Select(fault => fault with { Pointer = fault.Pointer.Replace("/dataset/", "/columns/", StringComparison.Ordinal) })]);
    }

    private static DatasetSpec Spec(DataColumns given) => new()
    {
        Train = "",
        TextColumn = given.TextColumn,
        TextPairColumn = given.TextPairColumn,
        LabelColumn = given.LabelColumn,
        MessagesColumn = given.MessagesColumn,
        PromptColumn = given.PromptColumn,
        InputColumn = given.InputColumn,
        CompletionColumn = given.CompletionColumn,
        ChosenColumn = given.ChosenColumn,
        RejectedColumn = given.RejectedColumn,
        TokensColumn = given.TokensColumn,
        TagsColumn = given.TagsColumn,
    };

    private static DataColumns Columns(string task, DatasetSpec spec) => new()
    {
        Task = task,
        TextColumn = spec.TextColumn,
        TextPairColumn = spec.TextPairColumn,
        LabelColumn = spec.LabelColumn,
        MessagesColumn = spec.MessagesColumn,
        PromptColumn = spec.PromptColumn,
        InputColumn = spec.InputColumn,
        CompletionColumn = spec.CompletionColumn,
        ChosenColumn = spec.ChosenColumn,
        RejectedColumn = spec.RejectedColumn,
        TokensColumn = spec.TokensColumn,
        TagsColumn = spec.TagsColumn,
    };
}
