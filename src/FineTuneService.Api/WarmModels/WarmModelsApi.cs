namespace FineTuneService.Api.WarmModels;

public static class WarmModelsApi
{
    public static IServiceCollection AddWarmModels(this IServiceCollection services)
    {
        services.AddOptions<WarmModelSettings>().BindConfiguration("Predictor").ValidateDataAnnotations().ValidateOnStart();
        return services.AddSingleton<WarmModelPool>().AddHostedService(provider => provider.GetRequiredService<WarmModelPool>());
    }
}
